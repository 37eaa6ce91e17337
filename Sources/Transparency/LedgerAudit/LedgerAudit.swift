import Dispatch
import Fairness
import Foundation
import Ledger
import Synchronization

/// Holds a database against its continuous log: every recorded outcome, commitment and revealed server seed is written down
/// as it was logged, and its digest looked for; every entry must be of something that is recorded; tiles, entries and
/// checkpoints must agree; and every draw whose seed is revealed is made again.
///
/// It goes in steps of a few thousand rows, and can be interrupted between any two. Its memory does not grow with the
/// database: see ``AuditSums``.
public struct LedgerAudit {
  let store: any AuditStore & TransparencyStore
  let outcomes: OutcomeAudit
  let seeds: ChainSeeds
  /// The key that signs daily roots.
  let rootKey: [UInt8]
  /// The key of a log, by its origin.
  let logKey: (String) throws -> LogVerifierKey
  public internal(set) var state: LedgerAuditState
  /// Called while a step that takes long is going on.
  let tick: () -> Void
  /// See ``change(of:)``: the ways to the root from where something was changed, and how many entries were sought there.
  var pathsOfChanged: [Int: [[MerkleHash]]] = [:]
  var soughtAmongChanged = 0

  /// - Parameter state: what an earlier audit left.
  public init(
    store: any AuditStore & TransparencyStore, seeds: ChainSeeds, shortIDs: ShortIDs, masterKey: MasterKey,
    state: LedgerAuditState, tick: @escaping () -> Void = {}
  ) throws {
    self.store = store
    self.seeds = seeds
    self.state = state
    self.tick = tick
    outcomes = OutcomeAudit(seeds: seeds, shortIDs: shortIDs)
    rootKey = try RootSigner(masterKey: masterKey).publicKey
    let secret = masterKey.logSigningSecret.withUnsafeBytes { Array($0) }
    logKey = { try LogSigner(name: $0, seed: secret, algorithm: .ed25519).verifierKey }
  }

  /// Goes on by one step.
  ///
  /// - Returns: whether there is more to do.
  public mutating func step() async throws -> Bool {
    switch state.step {
    case .log: try await readLog()
    case .outcomes: try checkOutcomes()
    case .reveals: try checkReveals()
    case .chains: try checkChains()
    case .commitments: try checkCommitments()
    case .differences: try findDifferences()
    case .done: break
    }
    return !state.isDone
  }

  // MARK: Outcomes

  static let draws: UInt8 = 2
  static let reveals: UInt8 = 3

  private mutating func checkOutcomes() throws {
    let rows = try store.auditOutcomes(after: state.lastOutcome, through: state.scope.lastOutcome)
    guard let last = rows.last else { return state.advance(to: .reveals) }
    let (outcomes, sums) = (outcomes, state.sums)
    let checked = Self.sideBySide(rows) { row -> (mark: AuditSums.Mark?, fault: String?) in
      do {
        let record = try row.row.get()
        return (sums.mark(Self.draws, outcomes.digest(record.outcome)), outcomes.fault(of: record))
      } catch {
        return (nil, "it cannot be read: \(error)")
      }
    }
    for (row, result) in zip(rows, checked) {
      if let fault = result.fault { state.note("outcome \(outcomes.name(row.number))", fault) }
      guard case .success(let record) = row.row, let mark = result.mark else { continue }
      takeAway(mark, recorded: record.outcome.created)
      if case .revealed = record.state { state.counts.recomputed += 1 }
    }
    state.counts.outcomes += rows.count
    state.lastOutcome = last.number
  }

  /// Takes a record's digest from those that the log has, unless it is older than the log.
  private mutating func takeAway(_ mark: AuditSums.Mark, recorded: Milliseconds) {
    if state.scope.isBeforeTheLog(recorded) {
      state.counts.beforeTheLog += 1
    } else {
      state.sums.takeAway(mark)
    }
  }

  // MARK: Seeds

  private mutating func checkReveals() throws {
    let rows = try store.auditReveals(after: state.place)
    guard let last = rows.last else { return state.advance(to: .chains) }
    let (seeds, sums) = (seeds, state.sums)
    let checked = Self.sideBySide(rows) { row -> (mark: AuditSums.Mark?, fault: String?) in
      do {
        let reveal = try row.row.get()
        return (sums.mark(Self.reveals, reveal.seed.logDigest(reveal.clientSeed)), Self.fault(of: reveal, seeds))
      } catch {
        return (nil, "it cannot be read: \(error)")
      }
    }
    for (row, result) in zip(rows, checked) {
      if let fault = result.fault { state.note(Self.name(row), fault) }
      guard case .success(let reveal) = row.row, let mark = result.mark else { continue }
      takeAway(mark, recorded: reveal.seed.revealed)
      if reveal.seed.owner.isNobody, reveal.seed.revealed <= state.scope.now { state.counts.revealedCommitments += 1 }
    }
    state.counts.reveals += rows.count
    state.place = last.place
  }

  /// Whether everything of a moment was recorded before the audit began.
  func isSettled(_ moment: Milliseconds) -> Bool { moment < state.scope.now - 60_000 }

  static func name(_ row: Audited<AuditedReveal>) -> String {
    "the server seed of chain \(row.number), epoch \(row.place.epoch)"
  }

  static func fault(of reveal: AuditedReveal, _ seeds: ChainSeeds) -> String? {
    let seed = reveal.seed
    guard seed.seed.hash == seed.hash else { return "it has another hash than was told of it" }
    guard !seed.owner.isNobody else { return nil }
    let chain = ChainKey(owner: seed.owner, clientSeed: reveal.clientSeed)
    return seeds.seed(of: chain, era: seed.era, epoch: seed.epoch).seed == seed.seed
      ? nil : "it is not the one that its chain must have had in era \(seed.era), epoch \(seed.epoch)"
  }

  private mutating func checkChains() throws {
    let rows = try store.auditChains(after: state.place)
    guard let last = rows.last else { return state.advance(to: .commitments) }
    let seeds = seeds
    let checked = Self.sideBySide(rows) { row -> String? in
      do {
        let chain = try row.row.get()
        guard !chain.key.owner.isNobody else { return nil }
        let seed = seeds.seed(of: chain.key, era: chain.row.era, epoch: Int(chain.row.epoch))
        return seed.hash.bytes == chain.row.serverHash
          ? nil : "its server hash is not the one of its seed in era \(chain.row.era), epoch \(chain.row.epoch)"
      } catch {
        return "it cannot be read: \(error)"
      }
    }
    for (row, fault) in zip(rows, checked) {
      if let fault { state.note("chain \(row.number)", fault) }
      guard case .success(let chain) = row.row, !chain.hasNewest, let newest = chain.row.trail.newest else { continue }
      lose(newest)
    }
    state.counts.chains += rows.count
    state.place = last.place
  }

  mutating func lose(_ outcome: Int64) {
    guard state.lost.count < LedgerAuditState.mostFaults else { return }
    state.lost.insert(outcome)
  }

  // MARK: Working side by side

  /// Applies `body` to all rows, on all cores.
  static func sideBySide<Row: Sendable, Result: Sendable>(
    _ rows: [Row], _ body: @Sendable (Row) -> Result
  ) -> [Result] {
    let size = 64
    let parts = (rows.count + size - 1) / size
    let results = Mutex<[Int: [Result]]>([:])
    DispatchQueue.concurrentPerform(iterations: parts) { part in
      let done = rows[(part * size)..<min((part + 1) * size, rows.count)].map(body)
      results.withLock { $0[part] = done }
    }
    return results.withLock { results in (0..<parts).flatMap { results[$0] ?? [] } }
  }

  // MARK: The result

  /// What was checked, and what is wrong with what, once all is done.
  public var findings: [(name: String, fault: String?, note: String)] {
    let counts = state.counts
    let entries = state.scope.logs.reduce(0) { $0 + $1.size }
    var findings: [(name: String, fault: String?, note: String)] = state.faults.sorted { $0.key < $1.key }.map {
      ($0.key, $0.value, "")
    }
    if state.moreFaults > 0 { findings.append(("more", "\(state.moreFaults) more faults were found", "")) }
    guard findings.isEmpty else { return findings }
    let eras = state.scope.logs.count
    return [
      (
        "log", nil,
        "\(entries) entries give the signed root" + (eras == 1 ? "" : "s of \(eras) eras") + " and the tiles"
      ),
      (
        "outcomes", nil,
        "\(counts.outcomes) are in the log as they are recorded; \(counts.recomputed) were recomputed from revealed seeds"
      ),
      ("seeds", nil, "\(counts.reveals) revealed seeds and \(counts.chains) hashes of chains are what they must be"),
      ("commitments", nil, "\(counts.commitments) are in the log as they are recorded"),
    ]
  }

  /// What is to be said besides.
  public var notes: [String] {
    state.counts.beforeTheLog == 0
      ? [] : ["\(state.counts.beforeTheLog) records are from before the log began, so it says nothing about them."]
  }
}
