import Foundation
import JSON
import Ledger

/// Takes a raffle from wherever it stands to its draw. Each step is on the disk before the next one begins.
struct RaffleDraw {
  private var file: StateFile<RaffleState>
  private let server: HTTPFetch
  private(set) var state: RaffleState

  /// How long the server is asked before the command gives up; a later run continues.
  private let retries = Retries(limit: .seconds(60))

  init(file: StateFile<RaffleState>, server: HTTPFetch, asked: RaffleState) {
    (self.file, self.server, state) = (file, server, asked)
  }

  /// Finds the raffle, or begins it with a commitment.
  ///
  /// - Returns: whether it only has to be announced.
  /// - Throws: ``CommandFailure`` if another raffle has this report.
  mutating func prepare(value: String?, announces: Bool) async throws -> Bool {
    if let known = try file.load() {
      if let difference = known.difference(from: state) {
        throw CommandFailure(
          "\(file.path) is another raffle's: \(difference). A raffle is drawn once; name another --report to draw "
            + "another one")
      }
      if announces, known.announced.map({ $0.utf8.elementsEqual(state.announced?.utf8 ?? "".utf8) }) != true {
        throw CommandFailure(
          "this raffle was begun with \(known.announced.map { "the announcement \"\($0)\"" } ?? "no announcement")")
      }
      state = known
    } else {
      guard value == nil else {
        throw CommandFailure("nothing was announced: run the command with --announce before the value is known")
      }
      try await refuseIfDrawn()
      try await commit()
    }
    if announces, state.outcome == nil { return true }
    if let earlier = state.value, let value, !earlier.utf8.elementsEqual(value.utf8) {
      throw CommandFailure("this raffle is drawn with the value \"\(earlier)\"; it cannot be another one now")
    }
    guard state.announced != nil || value == nil else { throw CommandFailure("this raffle has no announced value") }
    if let announced = state.announced, state.outcome == nil, state.value == nil {
      guard let value else { throw CommandFailure("say with --value what \"\(announced)\" is") }
      // Before the server is asked: a later run must not ask for another one.
      state.value = value
      try file.save(state)
    }
    return false
  }

  /// Draws unless that was done, and fetches the proof unless it is there.
  mutating func finish() async throws {
    while state.outcome == nil {
      let answer = try await retries.answer {
        try await server.post("/api/reveal", body: state.request, idempotencyKey: state.idempotencyKey)
      }
      switch answer.status {
      case 200: try await keep(answer.body)
      case 409: try await findOutcome(answer)
      case 404, 410: try await beginAgain(answer)
      default: throw CommandFailure("the server does not draw: \(answer.error)")
      }
    }
    try check()
    if state.proof == nil, !state.isRehearsal { try await fetchProof() }
  }

  // MARK: Steps

  private mutating func commit() async throws {
    let answer = try await retries.answer { try await server.post("/api/commit") }
    guard answer.status == 200, let id = answer.text("commitId"), let hash = answer.text("serverHash"),
      let expires = answer.json?["expiresAt"]?.integer
    else { throw CommandFailure("the server does not commit: \(answer.error)") }
    state.commitment = .init(
      commitId: id, serverHash: hash, expiresAt: expires, received: Int(Date().timeIntervalSince1970 * 1000))
    try file.save(state)
  }

  /// The state file may be lost, but a server remembers what was drawn from a list under a title.
  private func refuseIfDrawn() async throws {
    guard !state.isRehearsal, state.announced == nil else { return }
    var query = URLComponents()
    query.queryItems = [.init(name: "clientSeed", value: state.clientSeed), .init(name: "limit", value: "1")]
    let path = "/api/listOutcomes?" + (query.percentEncodedQuery ?? "").replacing("+", with: "%2B")
    let answer = try await retries.answer { try await server.get(path) }
    guard answer.status == 200, let outcomes = answer.json?.elements() else {
      throw CommandFailure("the server does not say what it has drawn: \(answer.error)")
    }
    if let earlier = outcomes.first {
      throw CommandFailure(
        "this list was drawn under this title already: \(earlier["permalink"]?.text ?? ""). A raffle is drawn once; "
          + "another raffle from the same list needs another title")
    }
  }

  /// The commitment expired, and nothing was drawn from it: nobody has seen its seed.
  private mutating func beginAgain(_ answer: HTTPFetch.Answer) async throws {
    guard state.announced == nil else {
      throw CommandFailure(
        "nothing was drawn: \(answer.error) An announced commitment is not replaced. Announce again, with another "
          + "--report, and say publicly why")
    }
    guard state.expired.count < 10 else { throw CommandFailure("the server does not draw: \(answer.error)") }
    try await refuseIfDrawn()
    state.expired.append(state.commitment)
    try await commit()
  }

  /// The commitment has been used. If that was for this draw, its response was lost.
  private mutating func findOutcome(_ answer: HTTPFetch.Answer) async throws {
    guard let shortID = answer.text("shortId") else {
      throw CommandFailure("the server does not draw: \(answer.error)")
    }
    let found = try await retries.answer { try await server.get("/api/verifyShortId?shortId=\(shortID)") }
    guard found.status == 200 else { throw CommandFailure("the draw \(shortID) cannot be read: \(found.error)") }
    try await keep(found.body)
  }

  private mutating func keep(_ body: [UInt8]) async throws {
    state.outcome = String(decoding: body, as: UTF8.self)
    try check()
    try file.save(state)
  }

  /// Whether the server did what it was asked to, with the seed that it had committed to.
  private func check() throws {
    guard let text = state.outcome, let outcome = try? JSONText(Array(text.utf8)).root else {
      throw CommandFailure("the server's answer is not JSON")
    }
    let asked: [(String, Bool)] = [
      ("clientSeed", outcome["clientSeed"]?.text.map { $0.utf8.elementsEqual(state.clientSeed.utf8) } ?? false),
      ("serverHash", outcome["serverHash"]?.text == state.commitment.serverHash),
      ("endpoint", outcome["endpoint"]?.text == "sample"), ("count", outcome["count"]?.integer == state.drawn),
      ("min", outcome["min"]?.integer == 1), ("max", outcome["max"]?.integer == state.entries),
      ("cursor", outcome["cursor"]?.integer == 0), ("nonce", outcome["nonce"]?.integer == 0),
    ]
    if let wrong = asked.first(where: { !$0.1 }) {
      throw CommandFailure(
        "the server answered with a draw whose \(wrong.0) is not this raffle's: "
          + (outcome["permalink"]?.text ?? "it has no page"))
    }
    let report = OutcomeReport(checking: outcome)
    if let failed = report.checks.first(where: { !$0.passed }) {
      throw CommandFailure("the draw does not follow from the seeds: its \(failed.name) is wrong")
    }
  }

  /// The proof that the draw is in the server's log. It is there within seconds; without it the report is good too.
  private mutating func fetchProof() async throws {
    guard let text = state.outcome, let shortID = (try? JSONText(Array(text.utf8)))?.root["shortId"]?.text else {
      return
    }
    do {
      var proof: HTTPFetch.Answer?
      for _ in 0..<10 {
        let answer = try await Retries(limit: .seconds(5), onPause: { _, _ in }).answer {
          try await server.get("/api/proof/\(shortID)")
        }
        if answer.status == 200 { proof = answer }
        guard answer.status == 404, let pause = answer.retryAfter else { break }
        try await Task.sleep(for: .seconds(min(pause, 5)))
      }
      let keys = try await server.get("/api/keys")
      guard let proof, let key = keys.json?["log"]?["vkey"]?.text else {
        throw CommandFailure("the server has no proof of it yet")
      }
      (state.proof, state.logKey) = (String(decoding: proof.body, as: UTF8.self), key)
      try file.save(state)
    } catch let failure as CommandFailure {
      print(
        "fairdraw: the report is without a log proof, since \(failure). Run the command again to add it.",
        to: &Terminal.error)
    }
  }
}
