import Fairness
import Ledger
import Logging
import Synchronization
import Testing
import Transparency

/// A witness in memory, which decides as `fairdraw witness` does unless it is told what to answer.
private final class RemoteWitness: Sendable {
  let signer: LogSigner
  private let witness: Witness
  private let state = Mutex(State())

  struct State {
    var last: Checkpoint?
    var answer: LogWitnesses.Answer?
    var requests: [AddCheckpoint] = []
  }

  init(_ name: String, log: LogVerifierKey) throws {
    signer = try LogSigner(
      name: name, seed: Array(repeating: name.utf8.first ?? 0, count: 32), algorithm: .cosignature)
    witness = Witness(logs: [log])
  }

  var address: WitnessAddress {
    get throws { try WitnessAddress("http://\(signer.verifierKey.name)=\(signer.verifierKey)") }
  }
  var requests: [AddCheckpoint] { state.withLock { $0.requests } }

  func set(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

  func answer(_ body: [UInt8], at seconds: Int) throws -> LogWitnesses.Answer {
    let request = try AddCheckpoint(body)
    return state.withLock { state in
      state.requests.append(request)
      if let answer = state.answer { return answer }
      switch witness.decide(body, last: { _ in state.last }) {
      case .cosign(let checkpoint):
        state.last = checkpoint
        return .init(
          status: 200, contentType: nil, body: Array("\(signer.cosign(checkpoint.text, at: seconds))\n".utf8))
      case .refuse(let refusal):
        guard let size = refusal.size else { return .init(status: refusal.status, contentType: nil, body: []) }
        return .init(status: refusal.status, contentType: "text/x.tlog.size", body: Array("\(size)\n".utf8))
      }
    }
  }
}

@Suite(.timeLimit(.minutes(1))) struct LogWitnessesTests {
  private let store = FaultyLogStore()
  private let identity: LogIdentity
  private let keeper: LogKeeper
  private let remotes: [RemoteWitness]
  private let witnesses: LogWitnesses
  private let rollbacks = Rollbacks()

  private final class Rollbacks: Sendable { let reasons = Mutex<[String]>([]) }

  init() throws {
    identity = try LogIdentity(
      masterKey: MasterKey(bytes: Array(1...32)), store: store, era: 0, publicURL: "https://draw.example")
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    keeper = LogKeeper(
      store: store, identity: identity,
      first: .keys(era: 0, vrf: Array(repeating: 1, count: 32), daily: Array(repeating: 2, count: 32)), logger: logger)
    let log = identity.verifierKey
    let remotes = try ["a", "b", "c"].map { try RemoteWitness($0, log: log) }
    self.remotes = remotes
    witnesses = LogWitnesses(
      store: store, identity: identity, witnesses: try remotes.map { try $0.address }, interval: .seconds(5),
      logger: logger,
      post: { url, body, _ in
        let host = url.split(separator: "/")[1]
        guard let remote = remotes.first(where: { $0.signer.verifierKey.name == host }) else { throw StoreFailure("") }
        return try remote.answer(body, at: 1_700_000_000)
      }, now: { 1_700_000_000_000 },
      onRollback: { [rollbacks] reason in rollbacks.reasons.withLock { $0.append(reason) } })
  }

  private func grow(_ count: Int) throws {
    var work: LogKeeper.Work?
    store.queue(count)
    while try keeper.step(&work) {}
    store.state.withLock { $0.now += 5_000 }
  }

  /// A whole round; returns the names of those that were asked.
  private func askAll() async throws -> [String] {
    let requests = try await witnesses.round()
    for request in requests { await witnesses.ask(request) }
    return requests.map { remotes[$0.place].signer.verifierKey.name }
  }

  private func cosigners(ofSize size: Int) -> Set<String> {
    let kept = store.state.withLock { $0.cosignatures.filter { $0.size == size } }
    return Set(kept.map { String($0.witness.prefix(1)) })
  }

  @Test func eachCheckpointIsCosignedByAll() async throws {
    for (number, count) in [1, 300, 7, 600].enumerated() {
      try grow(count)
      #expect(try await askAll() == ["a", "b", "c"])
      let newest = try #require(try await store.checkpoint(of: 0))
      let note = try SignedNote(newest.text)
      #expect(note.signatures.count == 4)
      for remote in remotes {
        let key = remote.signer.verifierKey
        #expect(note.signatures.contains { key.time(of: $0, of: note.text) == 1_700_000_000 })
        // The first time it said where to begin; after that it is known.
        #expect(remote.requests.count == number + 1)
      }
      store.state.withLock { $0.now += 5_000 }
      #expect(try await askAll().isEmpty, "there is nobody left to ask")
    }
    #expect(witnesses.cosignedSizes.map(\.size) == [909, 909, 909])
    #expect(rollbacks.reasons.withLock { $0 }.isEmpty && witnesses.rollback == nil)
  }

  @Test func aRoundIsClaimedAndWhoIsBeingAskedIsLeftOut() async throws {
    try grow(3)
    let underWay = try await witnesses.round()
    #expect(underWay.count == 3)
    store.state.withLock { $0.now += 5_000 }
    #expect(try await askAll().isEmpty, "all are being asked")
    await witnesses.ask(underWay[1])
    try grow(3)
    #expect(try await askAll() == ["b"])
    #expect(cosigners(ofSize: 7) == ["b"])
    await witnesses.ask(underWay[0])
    #expect(try await askAll().isEmpty, "the interval is not over")
    store.state.withLock { $0.now += 5_000 }
    #expect(try await askAll() == ["a"])
  }

  @Test func aWitnessThatIsBehindIsAskedAgainFromWhereItIs() async throws {
    try grow(300)
    _ = try await askAll()
    // As after a restart of the server, which has forgotten how far each is.
    let before = try #require(try await store.checkpoint(of: 0))
    try grow(400)
    remotes[1].set { $0.last = nil }
    remotes[2].set { $0.answer = .init(status: 500, contentType: nil, body: []) }
    _ = try await askAll()
    #expect(cosigners(ofSize: 701) == ["a", "b"])
    #expect(remotes[1].requests.map(\.oldSize) == [0, before.size, 0])
    remotes[2].set { $0.answer = nil }
    store.state.withLock { $0.now += 5_000 }
    #expect(try await askAll() == ["c"])
    #expect(cosigners(ofSize: 701) == ["a", "b", "c"] && rollbacks.reasons.withLock { $0 }.isEmpty)
  }

  /// The log is set back; then it goes on with the same entries, or with fewer.
  @Test(arguments: [0, 2, 9]) func anotherHistoryIsNoticedOnce(_ more: Int) async throws {
    try grow(4)
    let old = store.state.withLock { $0 }
    try grow(5)
    _ = try await askAll()
    store.state.withLock { state in
      let (now, keptUntil) = (state.now, state.keptUntil)
      state = old
      (state.now, state.keptUntil) = (now + 5_000, keptUntil + 5_000)
      state.added += 100
    }
    if more > 0 { try grow(more) }
    for _ in 0..<3 {
      _ = try await askAll()
      store.state.withLock { $0.now += 5_000 }
    }
    #expect(rollbacks.reasons.withLock { $0.count } == 3, "each witness says so once")
    #expect(witnesses.rollback != nil && cosigners(ofSize: 5 + more).isEmpty)
    // That it does not answer now takes nothing back.
    for remote in remotes { remote.set { $0.answer = .init(status: 404, contentType: nil, body: []) } }
    _ = try await askAll()
    #expect(witnesses.rollback != nil && rollbacks.reasons.withLock { $0.count } == 3)
    // That it cosigns does: it was given back what it had lost, or begins anew.
    for remote in remotes { remote.set { ($0.answer, $0.last) = (nil, nil) } }
    store.state.withLock { $0.now += 5_000 }
    _ = try await askAll()
    #expect(witnesses.rollback == nil && cosigners(ofSize: 5 + more) == ["a", "b", "c"])
  }

  @Test func anotherTreeOfTheSameSizeIsNoticed() async throws {
    try grow(4)
    let forked = Checkpoint(origin: identity.origin, size: 5, root: .leaf([]))
    remotes[0].set { $0.last = forked }
    _ = try await askAll()
    #expect(cosigners(ofSize: 5) == ["b", "c"] && witnesses.rollback != nil)
  }

  @Test func answersThatAreNoneChangeNothing() async throws {
    let answers: [LogWitnesses.Answer] = [
      .init(status: 200, contentType: nil, body: []), .init(status: 200, contentType: nil, body: Array(0...255)),
      .init(status: 409, contentType: "text/x.tlog.size", body: Array("9999999999999999999\n".utf8)),
      .init(status: 409, contentType: "text/x.tlog.size", body: Array("05\n".utf8)),
      .init(status: 409, contentType: "text/x.tlog.size", body: Array("-1\n".utf8)),
      .init(status: 409, contentType: "text/x.tlog.size", body: Array("3".utf8)),
      .init(status: 409, contentType: "text/plain", body: Array("3000\n".utf8)),
      .init(status: 500, contentType: nil, body: []), .init(status: 302, contentType: nil, body: []),
    ]
    for answer in answers {
      remotes[0].set { $0.answer = answer }
      try grow(2)
      _ = try await askAll()
    }
    let kept = store.state.withLock { $0.cosignatures }
    #expect(kept.count { $0.witness.hasPrefix("a") } == 0 && kept.count == 2 * answers.count)
    #expect(witnesses.rollback == nil && witnesses.cosignedSizes[0].size == 0)
  }

  @Test func onlyACosignatureOfTheKeyTheTextAndTheTimeCounts() throws {
    let (key, text, now) = (remotes[0].signer.verifierKey, "x\n1\ny\n", 1_700_000_000)
    func counts(_ signatures: NoteSignature...) -> Bool {
      let body = signatures.map { "\($0)\n" }.joined()
      return LogWitnesses.cosignature(in: Array(body.utf8), by: key, of: text, at: now) != nil
    }
    let (own, others) = (remotes[0].signer, remotes[1].signer)
    #expect(counts(own.cosign(text, at: now)) && counts(others.cosign(text, at: now), own.cosign(text, at: now)))
    #expect(counts(own.cosign(text, at: now - 300)) && counts(own.cosign(text, at: now + 300)))
    #expect(!counts(own.cosign(text, at: now - 301)) && !counts(own.cosign(text, at: now + 301)))
    #expect(!counts(own.cosign(text, at: 0)) && !counts(own.cosign(text, at: .max)))
    #expect(!counts() && !counts(others.cosign(text, at: now)) && !counts(own.cosign(text + "z\n", at: now)))
    let renamed = NoteSignature(name: key.name, keyID: key.keyID, bytes: others.cosign(text, at: now).bytes)
    #expect(!counts(renamed))
  }

  @Test func addressesAreRead() throws {
    let key = remotes[0].signer.verifierKey
    for url in ["http://127.0.0.1:8082", "https://witness.example/a/b", "https://witness.example/a/b/"] {
      let address = try WitnessAddress("\(url)=\(key)")
      #expect(address.key == key)
      #expect(address.submission == (url.hasSuffix("/") ? String(url.dropLast()) : url) + "/add-checkpoint")
    }
    for text in [
      "", "=", "http://a", "\(key)", "=\(key)", "a=\(key)", "ftp://a=\(key)", "http://=\(key)", "http://a?b=\(key)",
      "http://u@a=\(key)", "http://a#b=\(key)", "http://a=x", "http://a=\(identity.verifierKey)",
    ] {
      #expect(throws: WitnessAddress.Failure.self) { try WitnessAddress(text) }
    }
  }
}
