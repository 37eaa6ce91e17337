import Accounts
import Dispatch
import Fairness
import Foundation
import Ledger
import SQLStore
import SQLiteStore
import Synchronization

/// A ``LedgerWriter`` on a ``FaultyStore``, over dictionaries or over a file, with its operator and its clock.
final class SimulatedServer {
  /// What came of a submission.
  enum Outcome {
    /// It was decided and stored, with this answer, whether its caller has got it or not.
    case stored(Reply, isHeard: Bool)
    case failed
  }

  private(set) var store: FaultyStore
  private var writer: LedgerWriter
  /// The file's folder; nil for dictionaries.
  private let folder: URL?
  private var generation = 0
  private let clock = SimulatedClock()
  /// How far the time of the file has come.
  private var reached: Milliseconds = 0
  private var nextNumber: Int64 = 0
  private let answers = Answers()
  private var earlierMoods: Set<FaultyStore.Mood> = []

  init(_ kind: Simulation.Store, random: SplitMix64, quotas: [Int?]) async throws {
    folder = kind == .memory ? nil : FileManager.default.temporaryDirectory.appendingPathComponent("fairdraw-\(UUID())")
    var ledger = MemoryLedger()
    for (index, quota) in quotas.enumerated() { ledger.addAccount(Int64(index + 1), dailyQuota: quota) }
    if let folder { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false) }
    (store, writer) = try Self.open(ledger, random, folder?.appendingPathComponent("0.db"), clock)
    for (index, quota) in quotas.enumerated() {
      _ = try await file?.createAccount(name: "account \(index)", dailyQuota: quota, signIn: nil)
    }
  }

  private static func open(
    _ ledger: MemoryLedger, _ random: SplitMix64, _ file: URL?, _ clock: SimulatedClock
  ) throws -> (FaultyStore, LedgerWriter) {
    let base = try file.map { try SQLiteStore(path: $0.path, masterKey: masterKey) { clock.now } }
    let store = FaultyStore(ledger: ledger, base: base)
    store.content.withLock { $0.random = random }
    store.setMood { random in
      switch random.int(1...100) {
      case ...3: .failing
      case ...5: .failingWholly
      case ...8: .failingInside
      case ...12: .failingAfterCommit
      case ...14: .failingToFlush
      case ...17: .startingOver
      default: .well
      }
    }
    let decider = Decider(
      masterKey: masterKey, seeds: base?.seeds ?? ChainSeeds(key: seedKey), publicURL: "https://draw.example",
      defaultDailyQuota: 1000, retention: oneDay)
    var limits = LedgerWriter.Limits.unhurried
    limits.groupDraws = 60  // so that some groups take a few turns
    return (store, LedgerWriter(store: store, decider: decider, limits: limits))
  }

  private var file: SQLiteStore? { store.base as? SQLiteStore }

  /// When the next group will be decided.
  var now: Milliseconds { file == nil ? clock.now : max(reached, clock.now) }

  func moveClock(to moment: Milliseconds) { clock.now = moment }
  var clockTime: Milliseconds { clock.now }

  /// The process ends and another begins. A file is opened as a crash would leave it: with its log, and nothing closed.
  ///
  /// - Parameter lastDrawn: what the file's time goes on from.
  func reopen(lastDrawn: Milliseconds) async throws {
    await writer.drain()
    generation += 1
    let (old, new) = (generation - 1, generation)
    if let folder {
      for part in ["", "-wal"] {
        try FileManager.default.copyItem(
          at: folder.appendingPathComponent("\(old).db\(part)"), to: folder.appendingPathComponent("\(new).db\(part)"))
      }
    }
    let random = store.content.withLock { $0.random }
    earlierMoods = moods
    (store, writer) = try Self.open(store.ledger, random, folder?.appendingPathComponent("\(new).db"), clock)
    if let folder {
      for part in ["", "-wal", "-shm"] {
        try? FileManager.default.removeItem(at: folder.appendingPathComponent("\(old).db\(part)"))
      }
    }
    reached = lastDrawn
  }

  /// Every mood that a group met.
  var moods: Set<FaultyStore.Mood> { store.content.withLock { $0.moods }.union(earlierMoods) }

  /// Finishes what was accepted.
  func drain() async { await writer.drain() }

  /// Deletes the file; nothing is asked afterwards.
  func deleteFile() { if let folder { try? FileManager.default.removeItem(at: folder) } }

  // MARK: The operator

  func addKey(_ account: AccountID, _ mode: Mode) async throws -> Caller {
    if let file { return .key(try await file.createKey(NewAPIKey(mode: mode), of: account).id, account, mode) }
    nextNumber += 1
    store.content.withLock { $0.ledger.addKey(nextNumber, account: account.rawValue) }
    return .key(KeyID(nextNumber), account, mode)
  }

  func setQuota(_ quota: Int?, of account: AccountID) async throws {
    if let file { _ = try await file.setDailyQuota(quota, of: account) }
    store.content.withLock { $0.ledger.setQuota(quota, of: account, default: 1000) }
  }

  func setQuota(_ quota: Int?, of key: KeyID, _ account: AccountID) async throws {
    if let file { _ = try await file.setKeyQuota(quota, of: key, account: account) }
    store.content.withLock { $0.ledger.keyQuotas[key] = quota }
  }

  func revoke(_ key: KeyID, of account: AccountID) async throws {
    if let file { _ = try await file.revokeKey(key, of: account) }
    store.content.withLock { _ = $0.ledger.liveKeys.remove(key) }
  }

  /// Gives an account an endpoint, or takes all it has.
  func changeWebhooks(of account: AccountID, adding: Bool) async throws {
    if let file {
      guard let url = WebhookURL("https://example.com/") else { throw Divergence(description: "no address") }
      if adding {
        _ = try await file.createWebhook(url: url, secret: WebhookSecret(), of: account)
      } else {
        for webhook in try await file.webhooks(of: account) { try await file.deleteWebhook(webhook.id, of: account) }
      }
    }
    nextNumber += 1
    let endpoints = store.ledger.webhooks[account] ?? []
    store.content.withLock { [nextNumber] in
      $0.ledger.webhooks[account] = adding ? endpoints + [WebhookSubscription(WebhookEndpointID(nextNumber))] : nil
    }
  }

  func sweep() throws {
    if let file {
      while try file.sweepExpiredRecords(keeping: oneDay) {}
      reached = now
    }
    store.content.withLock { $0.ledger.sweep(at: clock.now) }
  }

  // MARK: Groups

  /// Has submissions decided that come while another group is in hand, and `later`, which come while the first of theirs
  /// is stored and not yet answered.
  ///
  /// - Returns: what came of them, in the order in which they were decided.
  func exchange(
    _ submissions: [Submission], later: [Submission], damage: Need?
  ) throws -> [(submission: Submission, outcome: Outcome)] {
    let now = now
    store.content.withLock { content in
      content.now = clock.now
      content.damage = damage.map { [$0: .damaged("a row is damaged")] } ?? [:]
      content.nextMood = .hanging
      content.decided = nil
    }
    let all = [Submission(caller: .anonymous, operation: .refuse(.badRequest("nothing")))] + submissions + later
    submit(all, 0..<1)
    try store.awaitHang()
    submit(all, 1..<(submissions.count + 1))
    if !later.isEmpty {
      store.content.withLock { $0.nextMood = .hangingAfterCommit }
      store.release()
      try store.awaitHang()
      submit(all, (submissions.count + 1)..<all.count)
    }
    store.release()
    let answered = try answers.take(all.count)
    var (lost, failures) = store.content.withLock { content in
      defer { (content.lost, content.failures) = ([:], []) }
      return (content.lost, content.failures)
    }
    let decided = store.content.withLock { $0.decided } ?? 0
    try expect(decided == now, "groups to be decided at \(now)", "\(decided)")
    reached = now
    return try answered.dropFirst().map { place, result in
      switch result {
      case .success(let reply): return (all[place], .stored(reply, isHeard: true))
      case .failure(.storeFailed(let failure)):
        if let reply = lost[failure.description]?.first {
          lost[failure.description]?.removeFirst()
          return (all[place], .stored(reply, isHeard: false))
        }
        if damage != nil, failure.kind == .damaged {
          return (all[place], .stored(Reply(Refusal(failure)), isHeard: true))
        }
        try expect(failures.contains(failure.description), "no failure but \(failures)", "\(failure)")
        return (all[place], .failed)
      case .failure(let failure): throw Divergence(expected: "an answer", came: "\(failure)")
      }
    }
  }

  private func submit(_ all: [Submission], _ places: Range<Int>) {
    for place in places {
      writer.submit(all[place]) { [answers] in answers.add(place, $0) }
    }
  }

  // MARK: What is stored

  /// Counts that the model has too.
  func counts() async throws -> [String: Int64] {
    guard let file else {
      let ledger = store.ledger
      return [
        "outcomes": Int64(ledger.outcomes.count + ledger.testOutcomes.count),
        "usage": Int64(ledger.usage.values.reduce(0, +)),
        "key_usage": Int64(ledger.keyUsage.values.reduce(0, +)), "deliveries": Int64(ledger.deliveries.count),
        "revealed": Int64(ledger.revealedSeeds.count),
      ]
    }
    // Of tables that lose no row here the last number is the count.
    return try await file.read { connection in
      let row = try connection.row(
        """
        SELECT max((SELECT coalesce(max(id), 0) FROM outcomes), (SELECT coalesce(max(id), 0) FROM test_outcomes))
            AS outcomes,
          (SELECT coalesce(sum(count), 0) FROM usage) AS usage,
          (SELECT coalesce(sum(count), 0) FROM key_usage) AS key_usage,
          (SELECT coalesce(max(id), 0) FROM deliveries) AS deliveries,
          (SELECT count(*) FROM revealed_seeds) AS revealed
        """)
      return try ["outcomes", "usage", "key_usage", "deliveries", "revealed"].reduce(into: [:]) {
        $0[$1] = try row?.integer($1)
      }
    }
  }

  /// What does not hold of what is stored and must hold of any ledger.
  func audit() async throws -> [String] {
    guard let file else { return store.ledger.audit() }
    let broken: [(String, SQLStatement)] = [
      ("coordinates used twice", "SELECT 1 FROM outcomes GROUP BY chain_id, nonce HAVING count(*) > 1"),
      (
        "chains that do not stand after their outcomes",
        """
        SELECT 1 FROM chains LEFT JOIN (SELECT chain_id, count(*) AS drawn FROM outcomes GROUP BY chain_id) ON chain_id = id
        WHERE nonce <> coalesce(drawn, 0)
        """
      ),
      (
        "outcomes that are not numbered one after the other",
        """
        SELECT 1 FROM (SELECT count(*) AS count, max(id) AS last FROM
          (SELECT id FROM outcomes UNION SELECT id FROM test_outcomes)) WHERE count <> last
        """
      ),
      (
        "usage that is not what was drawn",
        "SELECT 1 WHERE (SELECT sum(count) FROM usage) <> (SELECT count(*) FROM outcomes)"
      ),
      (
        "outcomes that go back in time",
        "SELECT 1 FROM outcomes AS a JOIN outcomes AS b ON b.id = a.previous WHERE b.created > a.created"
      ),
    ]
    return try await file.read { connection in
      try broken.compactMap { what, statement in try connection.row(statement) == nil ? nil : what }
    }
  }
}

/// A clock that stands still until it is set.
private final class SimulatedClock: Sendable {
  private let moment = Mutex<Milliseconds>(newYear)
  var now: Milliseconds {
    get { moment.withLock { $0 } }
    set { moment.withLock { $0 = newValue } }
  }
}

/// Answers in the order in which they come.
private final class Answers: Sendable {
  private let content = Mutex<[(place: Int, result: Result<Reply, LedgerUnavailable>)]>([])
  private let more = DispatchSemaphore(value: 0)

  func add(_ place: Int, _ result: Result<Reply, LedgerUnavailable>) {
    content.withLock { $0.append((place, result)) }
    more.signal()
  }

  /// Waits for so many and takes them.
  func take(_ count: Int) throws -> [(place: Int, result: Result<Reply, LedgerUnavailable>)] {
    for got in 0..<count {
      try check(more.wait(timeout: .now() + 300) == .success, "only \(got) of \(count) were answered in five minutes")
    }
    return content.withLock { content in
      defer { content = [] }
      return content
    }
  }
}

/// So that answers expire often.
private let oneDay = IdempotencyRetention(day)!
