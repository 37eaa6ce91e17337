import Fairness
import JSON
import Ledger

/// Everything that is kept of an account, but its secrets: as one JSON object, or its outcomes alone as CSV.
///
/// It is read a page at a time and written as it is read, so it takes no more memory for more or larger outcomes. What
/// is drawn meanwhile may be in it or not.
public struct AccountExport: Sendable {
  public enum Format: String, Sendable, CaseIterable {
    case json, csv

    /// For the header of an HTTP response.
    public var contentType: String {
      switch self {
      case .json: "application/json"
      case .csv: "text/csv; charset=utf-8; header=present"
      }
    }
  }

  private let store: any LedgerStore & AccountStore & WebhookStore
  private let renderer: OutcomeRenderer
  private let reserve: @Sendable () async throws -> MemoryBudget.Reservation?
  /// How many chains or outcomes are read at once, at most.
  private let page: Int

  /// - Parameter reserve: called before a page is read; what it returns is held as long as the page is in memory.
  public init(
    store: any LedgerStore & AccountStore & WebhookStore, renderer: OutcomeRenderer,
    reserve: @escaping @Sendable () async throws -> MemoryBudget.Reservation? = { nil }
  ) {
    self.init(store: store, renderer: renderer, page: 200, reserve: reserve)
  }

  init(
    store: any LedgerStore & AccountStore & WebhookStore, renderer: OutcomeRenderer, page: Int,
    reserve: @escaping @Sendable () async throws -> MemoryBudget.Reservation? = { nil }
  ) {
    self.store = store
    self.renderer = renderer
    self.page = page
    self.reserve = reserve
  }

  /// Writes an account's data to `sink`, some tens of kilobytes or one outcome at a time.
  ///
  /// - Throws: ``AdministrationError/noAccount(_:)``; ``StoreFailure``, perhaps when some has been written; what `sink`
  ///   throws.
  public func write(_ format: Format, of id: AccountID, to sink: ([UInt8]) async throws -> Void) async throws {
    guard let account = try await store.account(id) else { throw AdministrationError.noAccount(id) }
    var body: [UInt8] = []
    switch format {
    case .json:
      try await appendHead(account, to: &body)
      try await writeSeeds(of: id, &body, to: sink)
      body.append(json: ",\n\"outcomes\":[")
      var isFirst = true
      try await forEachOutcome(of: id) { outcome in
        body.append(text: isFirst ? "\n" : ",\n")
        isFirst = false
        append(json: outcome, to: &body)
        try await flush(&body, to: sink)
      }
      body.append(json: "\n]}\n")
    case .csv:
      body.append(text: Self.columns.joined(separator: ",") + "\r\n")
      try await forEachOutcome(of: id) { outcome in
        append(csv: outcome, to: &body)
        try await flush(&body, to: sink)
      }
    }
    try await sink(body)
  }

  private func flush(_ body: inout [UInt8], to sink: ([UInt8]) async throws -> Void) async throws {
    guard body.count >= 32_768 else { return }
    try await sink(body)
    body.removeAll(keepingCapacity: true)
  }

  /// The server seeds that were told, each with the proof that its chain could have had no other.
  private func writeSeeds(
    of account: AccountID, _ body: inout [UInt8], to sink: ([UInt8]) async throws -> Void
  ) async throws {
    body.append(json: ",\n\"seeds\":[")
    var last: (clientSeed: ClientSeed, seed: RevealedSeed)?
    while true {
      let seeds = try await store.revealedSeeds(of: account, after: last, limit: page)
      for (clientSeed, seed) in seeds {
        body.append(text: last == nil && seed == seeds[0].seed ? "\n" : ",\n")
        body.append(json: "{\"clientSeed\":")
        body.append(jsonString: clientSeed.bytes)
        body.append(json: ",\"serverSeed\":\"")
        body.append(contentsOf: seed.seed.ascii)
        body.append(json: "\",")
        body.append(position: seed.hash, cursor: seed.cursor, nonce: seed.nonce)
        body.append(json: ",\"revealedAt\":")
        body.append(integer: seed.revealed)
        if let proof = store.seeds.proof(of: seed, clientSeed: clientSeed) {
          body.append(json: ",\"seedProof\":")
          body.append(proof)
        }
        body.append(json: "}")
        try await flush(&body, to: sink)
      }
      guard let end = seeds.last else { break }
      last = end
    }
    body.append(json: "\n]")
  }

  // MARK: Reading

  /// The account's live outcomes, by client seed, the newest of each first; then those it revealed from commitments, its
  /// test outcomes, and last those that were imported.
  private func forEachOutcome(of account: AccountID, _ body: (Outcome) async throws -> Void) async throws {
    var lastChain: ClientSeed?
    while true {
      let chains = try await store.chains(of: account, prefix: [], after: lastChain, limit: page)
      for chain in chains {
        try await store.forEachOutcome(
          of: .holder(account), clientSeed: chain.clientSeed, page: page, withReveals: false,
          reserve: reserve, body)
      }
      guard chains.count == page else { break }
      lastChain = chains.last?.clientSeed
    }

    var lastRevealed: Outcome?
    while let last = try await forEach(
      { try await store.revealedOutcomes(of: account, after: lastRevealed, limit: page) }, body)
    { lastRevealed = last }
    var lastTest: (clientSeed: ClientSeed, id: Int64)?
    while let last = try await forEach(
      { try await store.testOutcomes(of: account, after: lastTest, limit: page) }, body)
    { lastTest = (last.clientSeed, last.id) }
    var lastImported: Int64?
    while let last = try await forEach(
      { try await store.importedOutcomes(of: account, after: lastImported, limit: page) }, body)
    { lastImported = last.id }
  }

  /// Reads one page of outcomes and hands them on; returns the last, or nil at the end.
  private func forEach(
    _ read: () async throws -> [Outcome], _ body: (Outcome) async throws -> Void
  ) async throws -> Outcome? {
    let reservation = try await reserve()
    let outcomes = try await read()
    reservation?.shrink(to: 2 * outcomes.reduce(0) { $0 + $1.bytes })
    for outcome in outcomes { try await body(outcome) }
    withExtendedLifetime(reservation) {}
    return outcomes.last
  }

  // MARK: JSON

  private func appendHead(_ account: Account, to body: inout [UInt8]) async throws {
    body.append(json: "{\"account\":{\"name\":")
    body.append(jsonString: account.name)
    body.append(json: ",\"email\":")
    body.append(optional: try await store.signIn(of: account.id)?.email.description)
    body.append(json: ",\"dailyQuota\":")
    body.append(optional: account.dailyQuota.map(Int64.init))
    body.append(json: ",\"created\":")
    body.append(integer: account.created)
    body.append(json: "},\n\"keys\":")
    body.append(list: try await store.keys(of: account.id)) { report, body in
      body.append(json: "{\"prefix\":")
      body.append(jsonString: report.key.prefix)
      body.append(json: ",\"name\":")
      body.append(jsonString: report.key.name)
      body.append(json: ",\"mode\":")
      body.append(jsonString: report.key.mode.name)
      body.append(json: ",\"allowedNetworks\":")
      body.append(list: report.key.allowedNetworks) { $1.append(jsonString: $0) }
      body.append(json: ",\"allowedReferers\":")
      body.append(list: report.key.allowedReferers) { $1.append(jsonString: $0) }
      body.append(json: ",\"scopes\":")
      body.append(list: report.key.scopes.names) { $1.append(jsonString: $0) }
      body.append(json: ",\"dailyQuota\":")
      body.append(optional: report.key.dailyQuota.map(Int64.init))
      body.append(json: ",\"created\":")
      body.append(integer: report.key.created)
      body.append(json: ",\"revoked\":")
      body.append(optional: report.key.revoked)
      body.append(json: ",\"lastUsed\":")
      body.append(optional: report.activity.lastUsed)
      body.append(json: ",\"denied\":")
      body.append(integer: report.activity.denied)
      body.append(json: ",\"lastDenied\":")
      body.append(optional: report.activity.lastDenied)
      body.append(json: "}")
    }
    body.append(json: ",\n\"usage\":")
    let ever = Day(number: 0)...Day(number: Int64(Int32.max))
    body.append(list: try await store.usage(of: account.id, days: ever)) { usage, body in
      body.append(json: "{\"day\":")
      body.append(jsonString: usage.day.description)
      body.append(json: ",\"endpoint\":")
      body.append(jsonString: usage.endpoint.name)
      body.append(json: ",\"count\":")
      body.append(integer: usage.count)
      body.append(json: "}")
    }
    body.append(json: ",\n\"webhooks\":")
    body.append(list: try await store.webhooks(of: account.id)) { webhook, body in
      body.append(json: "{\"id\":")
      body.append(integer: webhook.id.rawValue)
      body.append(json: ",\"url\":")
      body.append(jsonString: webhook.url)
      body.append(text: ",\"enabled\":\(webhook.isEnabled)")
      body.append(json: ",\"disabledReason\":")
      body.append(optional: webhook.disabledReason)
      body.append(json: ",\"events\":")
      body.append(list: webhook.events.names) { $1.append(jsonString: $0) }
      body.append(json: ",\"created\":")
      body.append(integer: webhook.created)
      body.append(json: "}")
    }
  }

  /// An outcome as it was answered, with what a shuffle or pick was made of.
  private func append(json outcome: Outcome, to body: inout [UInt8]) {
    body.append(json: "{")
    if let items = outcome.items {
      body.append(json: "\"items\":[")
      body.append(contentsOf: items)
      body.append(json: "],")
    }
    body.append(json: "\"outcome\":")
    renderer.append(outcome, to: &body)
    body.append(json: "}")
  }

  // MARK: CSV

  private static let columns = [
    "shortId", "created", "endpoint", "clientSeed", "serverHash", "cursor", "nonce", "count", "outcome", "fields",
    "mode", "imported",
  ]

  private func append(csv outcome: Outcome, to body: inout [UInt8]) {
    let fields = [UInt8(ascii: "{")] + outcome.fields + [UInt8(ascii: "}")]
    body.append(contentsOf: renderer.shortID(of: outcome))
    body.append(UInt8(ascii: ","))
    body.append(iso8601: outcome.created)
    body.append(text: ",\(outcome.endpoint.name),")
    body.append(csv: outcome.clientSeed.bytes)
    body.append(UInt8(ascii: ","))
    body.append(hex: outcome.serverHash.bytes)
    body.append(text: ",\(outcome.cursor),\(outcome.nonce),")
    body.append(contentsOf: Self.count(in: fields))
    body.append(UInt8(ascii: ","))
    body.append(csv: outcome.value)
    body.append(UInt8(ascii: ","))
    body.append(csv: fields)
    body.append(text: ",\(outcome.mode.name),\(outcome.origin == nil ? "" : "true")\r\n")
  }

  private static func count(in fields: [UInt8]) -> [UInt8] {
    (try? JSONText(fields).root)?["count"].map { Array($0.raw) } ?? []
  }
}

extension [UInt8] {
  /// Appends a field of CSV (RFC 4180). Text that a spreadsheet would take for a formula gets an apostrophe in front, and
  /// so does text that begins with one, so that it can be told what was there.
  package mutating func append(csv text: [UInt8]) {
    let marks = Array("=+-@\t\r\n'".utf8)
    let isMarked = text.first.map(marks.contains) ?? false
    let isQuoted = text.contains { Array(",\"\r\n".utf8).contains($0) } || text.first == UInt8(ascii: " ")
    if isQuoted { append(UInt8(ascii: "\"")) }
    if isMarked { append(UInt8(ascii: "'")) }
    for byte in text {
      if byte == UInt8(ascii: "\"") { append(byte) }
      append(byte)
    }
    if isQuoted { append(UInt8(ascii: "\"")) }
  }

  package mutating func append(optional text: String?) {
    if let text { append(jsonString: text) } else { append(json: "null") }
  }

  package mutating func append(optional integer: Int64?) {
    if let integer { append(integer: integer) } else { append(json: "null") }
  }

  package mutating func append<Item>(list: [Item], _ each: (Item, inout [UInt8]) -> Void) {
    append(UInt8(ascii: "["))
    for (index, element) in list.enumerated() {
      if index > 0 { append(UInt8(ascii: ",")) }
      each(element, &self)
    }
    append(UInt8(ascii: "]"))
  }
}
