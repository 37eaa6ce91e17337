import API
import Accounts
import Fairness
import Foundation
import Hummingbird
import JSON
import Ledger

extension Dashboard {
  private static let pageSize = 25
  private static let section = "/dashboard/outcomes"

  // MARK: Searching

  @Sendable func outcomes(_ incoming: DashboardRequest) async throws -> Response {
    if let shortID = incoming.query["shortId"] { return try await byShortID(incoming, shortID) }
    let prefix = incoming.query.text("clientSeed")
    var values: [String: Any] = ["prefix": prefix, "isSearch": !prefix.isEmpty]
    guard prefix.utf8.count <= 256 else {
      return page(
        incoming, "outcomes", "Outcomes", section: Self.section, values: values,
        problem: FormProblem("A client seed has at most 256 bytes."))
    }
    let after = try incoming.query["after"].map { _ in try Self.clientSeed(incoming, "after") }
    let chains = try await incoming.asking {
      try await accounts.chains(
        of: incoming.account.id, prefix: Array(prefix.utf8), after: after, limit: Self.pageSize + 1)
    }
    let shown = chains.prefix(Self.pageSize)
    values["chains"] = shown.map { chain in
      [
        "address": Self.address(of: chain), "clientSeed": HTML.shown(chain.clientSeed.description),
        "draws": grouped(Int(chain.nonce)), "isOne": chain.nonce == 1, "created": moment(chain.created),
      ] as [String: Any]
    }
    values["isEmpty"] = chains.isEmpty
    values["isFirst"] = after == nil
    if chains.count > Self.pageSize, let last = shown.last {
      values["next"] = [
        "address":
          "\(Self.section)?clientSeed=\(percentEncoded(prefix.utf8))&after=\(percentEncoded(last.clientSeed.bytes))"
      ]
    }
    return page(incoming, "outcomes", "Outcomes", section: Self.section, values: values)
  }

  /// Anybody's outcome has its page under its short id; also those of test keys, which have no chain to be found by.
  private func byShortID(_ incoming: DashboardRequest, _ text: String) async throws -> Response {
    let shortID = incoming.query.trimmed("shortId")
    var isKnown = renderer.shortIDs.decode(shortID.utf8) != nil
    if !isKnown, OutcomeOrigin.isShortID(shortID.utf8) {
      isKnown =
        try await incoming.context.reading { () throws(StoreFailure) in
          try await store.recordedOutcome(shortID: Array(shortID.utf8))
        } != nil
    }
    if isKnown { return sessionGuard.redirect(to: "/o/\(shortID)") }
    return page(
      incoming, "outcomes", "Outcomes", section: Self.section, values: ["shortId": text],
      problem: FormProblem("This is not a short id: a short id is ten letters and digits.", status: 404))
  }

  private static func address(of chain: ChainReport, page: String = "chain") -> String {
    "\(section)/\(page)?clientSeed=\(percentEncoded(chain.clientSeed.bytes))"
  }

  // MARK: One chain

  /// The chain that the address names.
  ///
  /// - Throws: a 404 if there is none, or it is not the account's.
  private func found(_ incoming: DashboardRequest) async throws -> ChainReport {
    let seed = try Self.clientSeed(incoming, "clientSeed")
    let chains = try await incoming.asking {
      try await accounts.chains(of: incoming.account.id, prefix: seed.bytes, after: nil, limit: 1)
    }
    // The first whose client seed begins with this is the one that is this, if there is one.
    guard let chain = chains.first, chain.clientSeed == seed else { throw Self.noChain }
    return chain
  }

  /// - Throws: a 404 if the query's member of this name is no client seed.
  private static func clientSeed(_ incoming: DashboardRequest, _ name: String) throws -> ClientSeed {
    do { return try ClientSeed(incoming.query.text(name)) } catch { throw noChain }
  }

  private static let noChain = Refusal(404, "You have no chain with this client seed.")

  private func values(_ chain: ChainReport) -> [String: Any] {
    let hash = hex(chain.serverHash.bytes)
    return [
      "clientSeed": HTML.shown(chain.clientSeed.description),
      "copyClientSeed": HTML.copyButton(chain.clientSeed.description, label: "client seed"),
      "serverHash": hash, "copyServerHash": HTML.copyButton(hash, label: "server hash"), "nonce": chain.nonce,
      "cursor": chain.cursor,
      "draws": grouped(Int(chain.nonce)), "isOne": chain.nonce == 1, "isNew": chain.nonce == 0,
      "canRotate": chain.nonce > 0, "created": moment(chain.created),
      "address": Self.address(of: chain), "rotateAddress": Self.address(of: chain, page: "rotate"),
    ]
  }

  @Sendable func chain(_ incoming: DashboardRequest) async throws -> Response {
    let chain = try await found(incoming)
    var start = OutcomeListStart.newest
    if let text = incoming.query["before"] {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(DashboardRequest.number)
      guard parts.count == 2, let cursor = parts[0], let nonce = parts[1] else {
        throw Refusal.badRequest("before must be a cursor and a nonce with a colon between them, such as 0:17")
      }
      start = .before(cursor: cursor, nonce: nonce)
    }
    let caller = Caller.holder(incoming.account.id)
    let reservation = try await incoming.context.reserveMemory(for: .account(incoming.account.id))
    defer { withExtendedLifetime(reservation) {} }
    let page = try await incoming.context.reading { [start] () throws(StoreFailure) in
      try await store.outcomes(
        of: caller, clientSeed: chain.clientSeed, from: start, limit: Self.pageSize, withReveals: false)
    }
    var values = values(chain)
    values["outcomes"] = page.outcomes.map { outcome in
      let shortID = String(decoding: renderer.shortIDs.encode(outcome.id), as: UTF8.self)
      return [
        "shortId": shortID, "nonce": grouped(Int(outcome.nonce)), "cursor": outcome.cursor,
        "hasCursor": outcome.cursor != 0, "kind": outcome.endpoint.kind.outcomeTitle,
        "summary": HTML.shown(OutcomeDrawing(outcome).summary.shortened(to: 120)), "created": moment(outcome.created),
        "isRevealed": outcome.serverHash != chain.serverHash,
      ] as [String: Any]
    }
    if case .newest = start { values["isFirst"] = true } else { values["isFirst"] = false }
    if page.hasMore, let last = page.outcomes.last {
      values["next"] = ["address": "\(Self.address(of: chain))&before=\(last.cursor):\(last.nonce)"]
    }
    return self.page(incoming, "chain", "A chain", section: Self.section, values: values)
  }

  // MARK: Rotating

  @Sendable func rotatePage(_ incoming: DashboardRequest) async throws -> Response {
    let chain = try await found(incoming)
    return page(incoming, "rotate", "Rotate a chain", section: Self.section, values: values(chain))
  }

  /// Rotates as `/api/rotate` does. The form names the hash that is to be revealed, and is an idempotency key of its own:
  /// sent again, it gets the same answer and rotates nothing.
  @Sendable func rotate(_ incoming: DashboardRequest) async throws -> Response {
    let chain = try await found(incoming)
    let hash = incoming.form.text("serverHash")
    guard hash.utf8.count == 64, hash.utf8.allSatisfy({ $0.isHexDigit }) else {
      throw Refusal.badRequest("serverHash must be 64 hexadecimal digits")
    }
    let scope = IdempotencyScope(account: incoming.account.id, mode: .live, key: Array("dashboard-rotate:\(hash)".utf8))
    let submission = Submission(
      caller: .holder(incoming.account.id),
      claim: IdempotencyClaim(
        scope: scope, fingerprint: chain.clientSeed.bytes,
        request: IdempotentRequests.number(.post, "/dashboard/outcomes/rotate")),
      operation: .rotate(chain.clientSeed))
    // A form for a hash that is no longer the chain's is good only for the answer that it got before.
    let isCurrent = hash.utf8.elementsEqual(hex(chain.serverHash.bytes).utf8)
    let reply: Reply
    if isCurrent {
      reply = try await parts.gate.reply(to: submission, incoming.context)
    } else if let recalled = parts.gate.recall(submission) {
      reply = recalled
    } else {
      return page(
        incoming, "rotate", "Rotate a chain", section: Self.section, values: values(chain),
        problem: FormProblem("The chain was rotated after you opened this page. Nothing was changed.", status: 409))
    }
    guard let rotation = reply.rotation else {
      let sentence = reply.refusal?.error ?? "The chain could not be rotated."
      return page(
        incoming, "rotate", "Rotate a chain", section: Self.section, values: values(chain),
        problem: FormProblem(sentence, status: 409))
    }
    var values = values(chain)
    let (serverSeed, nextHash) = (rotation.serverSeed.description, rotation.nextHash.description)
    values["revealedSeed"] = serverSeed
    values["copySeed"] = HTML.copyButton(serverSeed, label: "server seed")
    values["revealedHash"] = "\(rotation.serverHash)"
    values["nextHash"] = nextHash
    values["copyNextHash"] = HTML.copyButton(nextHash, label: "next server hash")
    return page(incoming, "rotated", "The chain is rotated", section: Self.section, values: values)
  }
}

extension UInt8 {
  fileprivate var isHexDigit: Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self)
  }
}
