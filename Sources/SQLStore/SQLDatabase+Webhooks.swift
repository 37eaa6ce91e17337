import Accounts
import JSON
import Ledger

extension SQLDatabase {
  public func webhooks(of account: AccountID?) async throws -> [WebhookEndpoint] {
    try await query { [vault] in try $0.webhooks(of: account, vault) }
  }

  public func createWebhook(_ new: NewWebhook, of account: AccountID) async throws -> CreatedWebhook {
    try await transact(concernsGroups: true) { [vault, shortIDs] connection in
      // Held by draws under idempotency keys of the account too.
      let holder = try connection.hold(account)
      if let claim = new.claim, let made = try connection.webhook(under: claim, vault, shortIDs) { return made }
      let others = try connection.webhooks(of: account, vault)
      guard !new.isOnlyOfURL || !others.contains(where: { $0.url == new.url.description }) else {
        throw AdministrationError.webhookExists
      }
      guard others.count < maximumWebhooks else { throw AdministrationError.tooManyWebhooks(holder.name) }
      let id = WebhookEndpointID(try connection.nextNumber(in: .webhooks))
      let now = try connection.now()
      let sealed = try vault.seal(new.secret.bytes, context: WebhookSecret.sealingContext(endpoint: id))
      let webhook = WebhookEndpoint(
        target: WebhookTarget(
          endpoint: id, account: account, url: new.url.description, secret: sealed, oldSecret: nil, at: now,
          vault: vault),
        url: new.url.description, isEnabled: true, disabledReason: nil, events: new.events, created: now)
      try connection.execute(
        """
        INSERT INTO webhook_endpoints (id, account_id, url, sealed_secret, events, created)
        VALUES (\(webhook.id.rawValue), \(account.rawValue), \(webhook.url), \(sealed), \(webhook.events.rawValue),
          \(webhook.created))
        """)
      if let claim = new.claim { try connection.record(claim, webhook) }
      return CreatedWebhook(webhook, new.secret)
    }
  }

  public func deleteWebhook(_ id: WebhookEndpointID, of account: AccountID?) async throws {
    try await transact(concernsGroups: true) { [vault] connection in
      let webhook = try connection.hold(id, of: account, vault)
      _ = try connection.execute(
        "UPDATE webhook_endpoints SET deleted = \(connection.now()) WHERE id = \(webhook.id.rawValue)")
    }
  }

  public func changeWebhook(
    _ id: WebhookEndpointID, _ change: WebhookChange, of account: AccountID?
  ) async throws -> WebhookEndpoint {
    try await transact(concernsGroups: true) { [vault] connection in
      let webhook = try connection.hold(id, of: account, vault)
      if let url = change.url {
        try connection.execute("UPDATE webhook_endpoints SET url = \(url.description) WHERE id = \(id.rawValue)")
      }
      if let events = change.events {
        try connection.execute("UPDATE webhook_endpoints SET events = \(events.rawValue) WHERE id = \(id.rawValue)")
      }
      guard let enabled = change.isEnabled, webhook.isEnabled != enabled else {
        return try connection.webhook(id, vault)
      }
      try connection.execute(
        """
        UPDATE webhook_endpoints SET disabled = \(enabled ? nil : try connection.now()),
          disabled_reason = \(enabled ? nil : "by its operator"), failing_since = NULL
        WHERE id = \(id.rawValue)
        """)
      return try connection.webhook(id, vault)
    }
  }

  public func setWebhookSecret(
    _ id: WebhookEndpointID, to secret: WebhookSecret, of account: AccountID?
  ) async throws {
    try await transact(concernsGroups: false) { [vault] connection in
      let webhook = try connection.hold(id, of: account, vault)
      let context = WebhookSecret.sealingContext(endpoint: webhook.id)
      let present = try connection.row("SELECT sealed_secret FROM webhook_endpoints WHERE id = \(id.rawValue)")
      // One that is damaged signs nothing any more.
      let known = present.flatMap { try? vault.open(try $0.bytes("sealed_secret"), context: context) }
      if known == secret.bytes { return }
      try connection.execute(
        """
        UPDATE webhook_endpoints SET sealed_old_secret = \(known == nil ? "NULL" : "sealed_secret" as SQLStatement),
          old_expires = \(connection.now() + WebhookSecret.overlap),
          sealed_secret = \(vault.seal(secret.bytes, context: context))
        WHERE id = \(id.rawValue)
        """)
    }
  }

  public func createTestDelivery(for id: WebhookEndpointID, of account: AccountID?) async throws -> DeliveryID {
    try await transact(concernsGroups: false) { [vault] connection in
      let webhook = try connection.hold(id, of: account, vault)
      guard webhook.isEnabled else { throw AdministrationError.webhookDisabled(id) }
      let now = try connection.now()
      let made = try connection.row(
        "INSERT INTO deliveries (endpoint_id, created, due) VALUES (\(id.rawValue), \(now), \(now)) RETURNING id")
      guard let made else { throw StoreFailure("a test delivery was not recorded") }
      return DeliveryID(try made.integer("id"))
    }
  }

  public func deliveries(
    of account: AccountID?, endpoint: WebhookEndpointID?, state: DeliveryState?, before: DeliveryID?, limit: Int
  ) async throws -> [DeliveryReport] {
    try await query { [vault] connection in
      let endpoints =
        if let endpoint { [try connection.webhook(endpoint, of: account, vault)] } else {
          try connection.webhooks(of: account, vault)
        }
      let inState: SQLStatement = state.map { "AND d.state = \($0.rawValue)" } ?? ""
      // The newest of each endpoint, by the index; of those, the newest of all.
      let newest = try connection.run(
        endpoints.map { endpoint in
          """
          SELECT d.*, e.url, a.name AS account FROM deliveries d
            JOIN webhook_endpoints e ON e.id = d.endpoint_id JOIN accounts a ON a.id = e.account_id
          WHERE d.endpoint_id = \(endpoint.id.rawValue) AND d.id < \(before?.rawValue ?? .max) \(inState)
          ORDER BY d.id DESC LIMIT \(limit)
          """
        })
      let found = try newest.flatMap { try $0.rows.map { (id: try $0.integer("id"), row: $0) } }
        .sorted { $0.id > $1.id }.prefix(limit)
      let attempts = try connection.run(
        found.map { "SELECT * FROM delivery_attempts WHERE delivery_id = \($0.id) ORDER BY number" })
      return try zip(found, attempts).map { found, attempts in
        try DeliveryReport(row: found.row, attempts: attempts.rows.map(DeliveryAttempt.init(row:)))
      }
    }
  }

  public func resendDelivery(_ id: DeliveryID, of account: AccountID?) async throws {
    try await transact(concernsGroups: false) { [vault] connection in
      let unknown = AdministrationError.unknownDelivery(id)
      guard let found = try connection.row("SELECT endpoint_id FROM deliveries WHERE id = \(id.rawValue)") else {
        throw unknown
      }
      let webhook: WebhookEndpoint
      do {
        webhook = try connection.hold(WebhookEndpointID(try found.integer("endpoint_id")), of: account, vault)
      } catch AdministrationError.unknownWebhook {
        throw unknown
      }
      guard webhook.isEnabled else { throw AdministrationError.webhookDisabled(webhook.id) }
      let now = try connection.now()
      let resent = try connection.execute(
        """
        UPDATE deliveries SET state = 1, due = \(now), resent = \(now), attempts = 0, claim = NULL, expires = NULL
        WHERE id = \(id.rawValue)
        """)
      guard resent == 1 else { throw unknown }
    }
  }
}

extension SQLDatabase {
  public func resendDeliveries(
    of endpoint: WebhookEndpointID, made range: ClosedRange<Milliseconds>, state: DeliveryState, after: DeliveryID?,
    of account: AccountID?
  ) async throws -> (count: Int, last: DeliveryID?) {
    precondition(state != .pending)
    return try await transact(concernsGroups: false) { [vault] connection in
      let webhook = try connection.hold(endpoint, of: account, vault)
      guard webhook.isEnabled else { throw AdministrationError.webhookDisabled(webhook.id) }
      let now = try connection.now()
      let found = try connection.rows(
        """
        SELECT id FROM deliveries
        WHERE endpoint_id = \(endpoint.rawValue) AND id > \(after?.rawValue ?? 0) AND state = \(state.rawValue)
          AND created BETWEEN \(range.lowerBound) AND \(range.upperBound)
        ORDER BY id LIMIT \(resentAtOnce)
        """
      ).map { try $0.integer("id") }
      _ = try connection.run(
        found.map {
          """
          UPDATE deliveries SET state = 1, due = \(now), resent = \(now), attempts = 0, claim = NULL, expires = NULL
          WHERE id = \($0)
          """
        })
      return (found.count, found.count == resentAtOnce ? found.last.map { DeliveryID($0) } : nil)
    }
  }
}

extension SQLConnection {
  /// The endpoint that an earlier request under the same idempotency key has made, as it is now.
  ///
  /// - Throws: as ``WebhookStore/createWebhook(_:of:)``.
  fileprivate func webhook(
    under claim: NewWebhook.Claim, _ vault: Vault, _ shortIDs: ShortIDs
  ) throws -> CreatedWebhook? {
    let scope = claim.claim.scope
    let isClaimed: SQLStatement = "digest = \(dialect.uuidOfBytes("\(scope.digest)"))"
    let found = try row("SELECT fingerprint, created, answer FROM idempotency WHERE \(isClaimed)")
    guard let found else { return nil }
    guard try !claim.retention.isOver(try found.integer("created"), at: now()) else {
      try execute("DELETE FROM idempotency WHERE \(isClaimed)")
      return nil
    }
    // It covers the method and the path, so that the answer is a webhook's.
    guard try found.bytes("fingerprint") == claim.claim.fingerprint else {
      throw AdministrationError.idempotencyConflict
    }
    let body = try StoredAnswer(try found.bytes("answer")).reply(status: 200, with: [:], nil, shortIDs).body
    guard let id = (try? JSONText(body).root)?["id"]?.number.flatMap({ Int64($0) }).map(WebhookEndpointID.init) else {
      throw StoreFailure.damaged("an answer under an idempotency key names no webhook")
    }
    let webhook = try webhook(id, of: scope.account, vault)
    let sealed = try row("SELECT sealed_secret FROM webhook_endpoints WHERE id = \(id.rawValue)")
    let secret = try WebhookSecret(sealed: try sealed?.bytes("sealed_secret") ?? [], of: id, vault)
    return CreatedWebhook(webhook, secret, isReplay: true)
  }

  fileprivate func record(_ claim: NewWebhook.Claim, _ webhook: WebhookEndpoint) throws {
    let answer = StoredAnswer.bytes(of: Reply(status: 200, body: claim.body(webhook)), rendering: 0)
    try execute(
      """
      INSERT INTO idempotency (digest, request, fingerprint, status, answer, created)
      VALUES (\(dialect.uuidOfBytes("\(claim.claim.scope.digest)")), \(claim.claim.request),
        \(claim.claim.fingerprint), 200, \(answer), \(webhook.created))
      """)
  }

  func webhooks(of account: AccountID?, _ vault: Vault) throws -> [WebhookEndpoint] {
    let now = try now()
    return try rows(
      """
      SELECT * FROM webhook_endpoints
      WHERE deleted IS NULL AND \(account.map { "account_id = \($0.rawValue)" } ?? "true" as SQLStatement) ORDER BY id
      """
    ).map { try WebhookEndpoint(row: $0, at: now, vault) }
  }

  /// - Parameter account: whose it must be; nil allows anybody's.
  /// - Throws: ``AdministrationError/unknownWebhook(_:)``.
  func webhook(_ id: WebhookEndpointID, of account: AccountID? = nil, _ vault: Vault) throws -> WebhookEndpoint {
    let now = try now()
    let webhook = try row("SELECT * FROM webhook_endpoints WHERE id = \(id.rawValue) AND deleted IS NULL")
      .map { try WebhookEndpoint(row: $0, at: now, vault) }
    guard let webhook, account == nil || webhook.account == account else {
      throw AdministrationError.unknownWebhook(id)
    }
    return webhook
  }

  /// The endpoint, its account's row locked until the transaction ends.
  ///
  /// - Throws: as ``webhook(_:of:)``.
  func hold(_ id: WebhookEndpointID, of account: AccountID?, _ vault: Vault) throws -> WebhookEndpoint {
    let holder = try webhook(id, of: account, vault).account
    do {
      try hold(holder)
    } catch AdministrationError.noAccount {
      throw AdministrationError.unknownWebhook(id)
    }
    return try webhook(id, of: account, vault)
  }
}

extension WebhookEndpoint {
  fileprivate init(row: SQLRow, at now: Milliseconds, _ vault: Vault) throws {
    self.init(
      target: try WebhookTarget(row: row, at: now, vault), url: try row.text("url"),
      isEnabled: try row.optionalInteger("disabled") == nil, disabledReason: try row.optionalText("disabled_reason"),
      events: WebhookEvents(rawValue: try row.integer("events")), created: try row.integer("created"))
  }
}

extension WebhookTarget {
  convenience init(row: SQLRow, at now: Milliseconds, _ vault: Vault) throws {
    var old: (sealed: [UInt8], expires: Milliseconds)?
    if let sealed = try row.optionalBytes("sealed_old_secret"), let expires = try row.optionalInteger("old_expires") {
      old = (sealed, expires)
    }
    self.init(
      endpoint: WebhookEndpointID(try row.integer("id")), account: AccountID(try row.integer("account_id")),
      url: try row.text("url"), secret: try row.bytes("sealed_secret"), oldSecret: old, at: now, vault: vault)
  }
}

extension DeliveryReport {
  fileprivate init(row: SQLRow, attempts: [DeliveryAttempt]) throws {
    guard let state = DeliveryState(rawValue: try row.integer("state")) else {
      throw StoreFailure.damaged("a delivery is in no known state")
    }
    self.init(
      id: DeliveryID(try row.integer("id")), endpoint: WebhookEndpointID(try row.integer("endpoint_id")),
      account: try row.text("account"), url: try row.text("url"), outcome: try row.optionalInteger("outcome_id"),
      event: try row.optionalInteger("event").map(WebhookEvents.init(rawValue:)),
      state: state, created: try row.integer("created"), due: try row.optionalInteger("due"), attempts: attempts)
  }
}

extension DeliveryAttempt {
  fileprivate init(row: SQLRow) throws {
    self.init(
      at: try row.integer("at"), status: try row.optionalInteger("status").map { Int($0) },
      latency: try row.integer("latency"), error: try row.optionalText("error"), answer: try row.bytes("answer"))
  }
}
