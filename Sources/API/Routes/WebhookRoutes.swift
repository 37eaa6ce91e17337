import Accounts
import Fairness
import Hummingbird
import JSON
import Ledger

/// An account's webhooks, for programs that have a key with the scope `manage`.
public struct WebhookRoutes: Routes {
  private let store: any WebhookStore
  private let gate: LedgerGate
  private let shortIDs: ShortIDs
  private let retention: IdempotencyRetention
  /// Whether events may go to such an address.
  private let allows: @Sendable (WebhookURL) -> Bool
  private let deliveryIsDue: @Sendable () -> Void

  private static let listNames = ParameterNames(of: "/api/webhooks")
  private static let createNames = ParameterNames(of: "/api/webhooks", "url", "events", "secret")
  private static let noNames = ParameterNames(of: "a webhook")
  private static let changeNames = ParameterNames(of: "a webhook", "url", "events", "enabled")
  private static let deliveriesNames = ParameterNames(of: "deliveries", "state", "limit", "before")
  private static let resendNames = ParameterNames(of: "resend", "deliveryId", "from", "until", "state", "after")
  private static let ids: ClosedRange<Int64> = 1...Limits.safeIntegers.upperBound
  private static let times = Milliseconds.plausible

  public init(
    store: any WebhookStore, gate: LedgerGate, shortIDs: ShortIDs, retention: IdempotencyRetention,
    allows: @escaping @Sendable (WebhookURL) -> Bool, deliveryIsDue: @escaping @Sendable () -> Void
  ) {
    self.store = store
    self.gate = gate
    self.shortIDs = shortIDs
    self.retention = retention
    self.allows = allows
    self.deliveryIsDue = deliveryIsDue
  }

  public var routes: [Route] {
    [
      Route("/api/webhooks", .get, .post, needs: .manage) { request, context in
        request.method == .post ? try await create(request, context) : try await list(request, context)
      },
      Route("/api/webhooks/{id}", .get, .patch, .delete, needs: .manage) { request, context in
        switch request.method {
        case .patch: try await change(request, context)
        case .delete: try await delete(request, context)
        default: try await one(request, context)
        }
      },
      Route("/api/webhooks/{id}/deliveries", .get, needs: .manage, handler: deliveries),
      Route("/api/webhooks/{id}/resend", .post, needs: .manage, handler: resend),
      Route("/api/webhooks/{id}/test", .post, needs: .manage, handler: test),
      Route("/api/webhooks/{id}/rotate", .post, needs: .manage, handler: rotate),
    ]
  }

  // MARK: Webhooks

  @Sendable private func list(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    _ = try await Incoming(request, context).parameters(Self.listNames)
    let webhooks = try await asking(context) { try await store.webhooks(of: account) }
    var body: [UInt8] = []
    body.append(json: "{\"webhooks\":")
    body.append(list: webhooks) { $1.append($0) }
    body.append(json: "}")
    return .json(body)
  }

  @Sendable private func create(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    let incoming = try await Incoming(request, context)
    let claim = try claim(incoming, of: account, context)
    let parameters = try incoming.parameters(Self.createNames)
    guard let url = try url(parameters) else { throw Refusal.invalid("url", "required") }
    let events = try events(parameters) ?? .all
    let secret: WebhookSecret
    if let given = try parameters.text("secret") {
      guard let known = WebhookSecret(String(decoding: given, as: UTF8.self)), known.isLongEnough else {
        throw Refusal.invalid("secret", "must be whsec_ and the base64 of 16 to 64 bytes")
      }
      secret = known
    } else {
      secret = try WebhookSecret()
    }
    try gate.takeUncosted(for: account)
    let new = NewWebhook(url: url, secret: secret, events: events, isOnlyOfURL: true, claim: claim)
    let gone = Refusal(404, "The webhook that was made under this Idempotency-Key was deleted.", code: .notFound)
    let made = try await asking(context, unknown: gone) { try await store.createWebhook(new, of: account) }
    var response = shown(made.webhook, made.secret)
    if made.isReplay {
      response.headers[.idempotentReplayed] = "true"
      context.record.note { $0.isReplay = true }
    }
    return response
  }

  private func claim(
    _ incoming: Incoming, of account: AccountID, _ context: FairdrawContext
  ) throws(Refusal) -> NewWebhook.Claim? {
    guard let key = try IdempotencyKey.read(context.headers.idempotencyKeys) else { return nil }
    let claim = IdempotencyClaim(
      scope: IdempotencyScope(account: account, mode: .live, key: key), fingerprint: incoming.fingerprint(),
      request: IdempotentRequests.number(incoming.method, incoming.target.path))
    return NewWebhook.Claim(claim, retention: retention) { webhook in
      var body: [UInt8] = []
      body.append(webhook)
      return body
    }
  }

  @Sendable private func one(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    _ = try await Incoming(request, context).parameters(Self.noNames)
    return shown(try await found(context, account))
  }

  @Sendable private func change(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    let parameters = try await Incoming(request, context).parameters(Self.changeNames)
    let change = WebhookChange(
      url: try url(parameters), events: try events(parameters), isEnabled: try parameters.boolean("enabled"))
    try gate.takeUncosted(for: account)
    let id = try id(context)
    let webhook = try await asking(context) { try await store.changeWebhook(id, change, of: account) }
    if change.isEnabled == true { deliveryIsDue() }
    return shown(webhook)
  }

  @Sendable private func delete(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    _ = try await Incoming(request, context).parameters(Self.noNames)
    try gate.takeUncosted(for: account)
    let id = try id(context)
    try await asking(context) { try await store.deleteWebhook(id, of: account) }
    var body: [UInt8] = []
    body.append(text: "{\"id\":\(id.rawValue),\"deleted\":true}")
    return .json(body)
  }

  @Sendable private func rotate(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    _ = try await Incoming(request, context).parameters(Self.noNames)
    try gate.takeUncosted(for: account)
    let id = try id(context)
    let secret = try WebhookSecret()
    try await asking(context) { try await store.setWebhookSecret(id, to: secret, of: account) }
    return shown(try await found(context, account), secret)
  }

  private func shown(_ webhook: WebhookEndpoint, _ secret: WebhookSecret? = nil) -> Response {
    var body: [UInt8] = []
    body.append(webhook, secret)
    return .json(body)
  }

  // MARK: Deliveries

  @Sendable private func deliveries(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    let parameters = try await Incoming(request, context).parameters(Self.deliveriesNames)
    let state = try state(parameters, DeliveryState.allCases)
    let limit = try parameters.integer("limit", default: 25, in: 1...100)
    let before = try parameters.integer("before", in: Self.ids).map { DeliveryID($0) }
    let id = try id(context)
    let found = try await asking(context) {
      try await store.deliveries(of: account, endpoint: id, state: state, before: before, limit: Int(limit))
    }
    var body: [UInt8] = []
    body.append(json: "{\"deliveries\":")
    body.append(list: found) { $1.append($0, shortIDs) }
    body.append(json: "}")
    return .json(body)
  }

  @Sendable private func resend(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    let parameters = try await Incoming(request, context).parameters(Self.resendNames)
    let one = try parameters.integer("deliveryId", in: Self.ids).map { DeliveryID($0) }
    let from = try parameters.integer("from", in: Self.times)
    let until = try parameters.integer("until", in: Self.times)
    let state = try state(parameters, [.dead, .delivered])
    let after = try parameters.integer("after", in: Self.ids).map { DeliveryID($0) }
    guard (one == nil) != (from == nil && until == nil && state == nil && after == nil) else {
      throw Refusal.invalid("deliveryId", "give either this, or from and until")
    }
    var range: ClosedRange<Milliseconds>?
    if one == nil {
      guard let from else { throw Refusal.invalid("from", "required") }
      guard let until else { throw Refusal.invalid("until", "required") }
      guard from <= until else { throw Refusal.invalid("until", "must not be before from") }
      range = from...until
    }
    try gate.takeUncosted(for: account)
    let id = try id(context)
    let (count, last) = try await asking(context) {
      if let one { return (try await resend(one, of: id, account), nil as DeliveryID?) }
      guard let range else { return (0, nil) }
      return try await store.resendDeliveries(
        of: id, made: range, state: state ?? .dead, after: after, of: account)
    }
    if count > 0 { deliveryIsDue() }
    var body: [UInt8] = []
    body.append(text: "{\"resent\":\(count),\"next\":")
    body.append(optional: last?.rawValue)
    body.append(json: "}")
    return .json(body)
  }

  private func resend(_ delivery: DeliveryID, of webhook: WebhookEndpointID, _ account: AccountID) async throws -> Int {
    let isKnown =
      try await store.deliveries(
        of: account, endpoint: webhook, state: nil, before: DeliveryID(delivery.rawValue + 1), limit: 1
      ).first?.id == delivery
    guard isKnown else { throw AdministrationError.unknownDelivery(delivery) }
    try await store.resendDelivery(delivery, of: account)
    return 1
  }

  @Sendable private func test(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let account = try account(context)
    _ = try await Incoming(request, context).parameters(Self.noNames)
    try gate.takeUncosted(for: account)
    let id = try id(context)
    let delivery = try await asking(context) { try await store.createTestDelivery(for: id, of: account) }
    deliveryIsDue()
    var body: [UInt8] = []
    body.append(text: "{\"deliveryId\":\(delivery.rawValue)}")
    return .json(body)
  }

  // MARK: Reading a request

  /// The caller's account.
  private func account(_ context: FairdrawContext) throws(Refusal) -> AccountID {
    guard case .key(_, let account, let mode) = context.caller else {
      throw Refusal(401, "This address needs an API key with the scope manage.", code: .invalidAPIKey)
    }
    guard mode == .live else {
      throw Refusal(403, "Test keys have no webhooks; use a live key.", code: .testModeForbidden)
    }
    return account
  }

  private func id(_ context: FairdrawContext) throws(Refusal) -> WebhookEndpointID {
    guard let text = context.captures["id"], text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let number = Int64(text), Self.ids.contains(number)
    else { throw Self.unknownWebhook }
    return WebhookEndpointID(number)
  }

  private func found(_ context: FairdrawContext, _ account: AccountID) async throws -> WebhookEndpoint {
    let id = try id(context)
    let webhooks = try await asking(context) { try await store.webhooks(of: account) }
    guard let webhook = webhooks.first(where: { $0.id == id }) else { throw Self.unknownWebhook }
    return webhook
  }

  private func url(_ parameters: Parameters) throws(Refusal) -> WebhookURL? {
    guard let text = try parameters.text("url") else { return nil }
    guard let url = WebhookURL(String(decoding: text, as: UTF8.self)) else {
      throw Refusal.invalid(
        "url",
        "must be an http or https URL of at most \(WebhookURL.longest) characters, without user, password or fragment"
      )
    }
    guard allows(url) else {
      throw Refusal.invalid("url", "has a private address; this server sends only to public ones")
    }
    return url
  }

  private func events(_ parameters: Parameters) throws(Refusal) -> WebhookEvents? {
    guard let names = try parameters.texts("events") else { return nil }
    guard let events = WebhookEvents(names: names) else {
      throw Refusal.invalid("events", "must be one or more of \(WebhookEvents.allNames.joined(separator: ", "))")
    }
    return events
  }

  private func state(_ parameters: Parameters, _ allowed: [DeliveryState]) throws(Refusal) -> DeliveryState? {
    guard let text = try parameters.text("state") else { return nil }
    guard let state = DeliveryState(name: String(decoding: text, as: UTF8.self)), allowed.contains(state) else {
      throw Refusal.invalid("state", "must be one of \(allowed.map(\.name).joined(separator: ", "))")
    }
    return state
  }

  // MARK: Refusing

  private static let unknownWebhook = Refusal(404, "There is no webhook with this id.", code: .notFound)

  /// - Parameter unknown: what is said of a webhook that is not there.
  private func asking<Result>(
    _ context: FairdrawContext, unknown: Refusal = unknownWebhook, _ body: () async throws -> Result
  ) async throws -> Result {
    do {
      return try await body()
    } catch let failure as StoreFailure {
      throw context.refusal(for: failure)
    } catch AdministrationError.unknownWebhook {
      throw unknown
    } catch AdministrationError.webhookExists {
      throw Refusal(409, "There is a webhook for this URL already.", code: .webhookExists, parameter: "url")
    } catch AdministrationError.idempotencyConflict {
      context.record.note { $0.isConflict = true }
      throw Refusal.idempotencyConflict
    } catch AdministrationError.unknownDelivery {
      throw Refusal(404, "There is no delivery with this id.", code: .notFound)
    } catch AdministrationError.webhookDisabled {
      throw Refusal(409, "This webhook is disabled; enable it first.", code: .webhookDisabled)
    } catch AdministrationError.tooManyWebhooks {
      throw Refusal(
        409, "This account has \(maximumWebhooks) webhooks, the maximum; delete one first.", code: .tooManyWebhooks)
    } catch AdministrationError.noAccount {
      throw Refusal.invalidAPIKey
    }
  }
}

extension [UInt8] {
  /// - Parameter secret: told in the one answer that may tell it.
  fileprivate mutating func append(_ webhook: WebhookEndpoint, _ secret: WebhookSecret? = nil) {
    append(text: "{\"id\":\(webhook.id.rawValue),\"url\":")
    append(jsonString: webhook.url)
    append(json: ",\"events\":")
    append(list: webhook.events.names) { $1.append(jsonString: $0) }
    append(text: ",\"enabled\":\(webhook.isEnabled),\"disabledReason\":")
    append(optional: webhook.disabledReason)
    append(json: ",\"fault\":")
    append(optional: webhook.fault)
    append(text: ",\"created\":\(webhook.created),\"publicKey\":")
    append(optional: webhook.publicKey)
    if let secret {
      append(json: ",\"secret\":")
      append(jsonString: secret.text)
    }
    append(json: "}")
  }

  fileprivate mutating func append(_ delivery: DeliveryReport, _ shortIDs: ShortIDs) {
    append(text: "{\"id\":\(delivery.id.rawValue),\"event\":")
    append(jsonString: delivery.event)
    append(text: ",\"state\":\"\(delivery.state.name)\",\"shortId\":")
    let outcome = delivery.outcome.flatMap { ShortIDs.numbers.contains($0) ? shortIDs.encode($0) : nil }
    append(optional: outcome.map { String(decoding: $0, as: UTF8.self) })
    append(text: ",\"created\":\(delivery.created),\"due\":")
    append(optional: delivery.due)
    append(json: ",\"attempts\":")
    append(list: delivery.attempts) { attempt, body in
      body.append(text: "{\"at\":\(attempt.at),\"status\":")
      body.append(optional: attempt.status.map { Int64($0) })
      body.append(text: ",\"latencyMs\":\(attempt.latency),\"error\":")
      body.append(optional: attempt.error)
      body.append(json: ",\"response\":")
      body.append(jsonString: attempt.answer)
      body.append(json: "}")
    }
    append(json: "}")
  }
}
