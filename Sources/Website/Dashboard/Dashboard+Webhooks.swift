import API
import Fairness
import Foundation
import Hummingbird
import Ledger
import Webhooks

extension Dashboard {
  private static let section = "/dashboard/webhooks"
  private static let deliveriesShown = 25

  // MARK: Listing

  @Sendable func webhooks(_ visit: Visit) async throws -> Response {
    let webhooks = try await visit.asking { try await accounts.webhooks(of: visit.account.id) }
    return page(
      visit, "webhooks", "Webhooks", section: Self.section,
      values: [
        "webhooks": webhooks.map(Self.values), "isEmpty": webhooks.isEmpty, "hasAny": !webhooks.isEmpty,
        "isFull": webhooks.count >= maximumWebhooks,
      ])
  }

  private static func values(_ webhook: WebhookEndpoint) -> [String: Any] {
    var values: [String: Any] = [
      "id": webhook.id.rawValue, "url": HTML.shown(webhook.url), "isEnabled": webhook.isEnabled,
      "created": moment(webhook.created),
    ]
    if let fault = webhook.fault { values["fault"] = HTML.shown(fault) }
    if !webhook.isEnabled {
      // Whoever reads this is the operator that the store means.
      let reason = webhook.disabledReason ?? ""
      values["reason"] = HTML.shown(reason == "by its operator" ? "by hand" : reason)
    }
    return values
  }

  /// The webhook that the address names.
  ///
  /// - Throws: a 404 if there is none, or it is not the account's.
  private func found(_ visit: Visit) async throws -> WebhookEndpoint {
    let id = WebhookEndpointID(try visit.id())
    let webhooks = try await visit.asking { try await accounts.webhooks(of: visit.account.id) }
    guard let webhook = webhooks.first(where: { $0.id == id }) else {
      throw AdministrationError.unknownWebhook(id).refusal
    }
    return webhook
  }

  @Sendable func webhook(_ visit: Visit) async throws -> Response {
    let webhook = try await found(visit)
    return try await webhookPage(visit, webhook)
  }

  private func webhookPage(
    _ visit: Visit, _ webhook: WebhookEndpoint, complaint: Complaint? = nil
  ) async throws -> Response {
    let latest = try await visit.asking {
      try await accounts.deliveries(of: visit.account.id, endpoint: webhook.id, state: nil, before: nil, limit: 10)
    }
    var values = Self.values(webhook)
    values["deliveries"] = latest.map { self.values(of: $0, showsURL: false) }
    values["hasDeliveries"] = !latest.isEmpty
    return page(visit, "webhook", "A webhook", section: Self.section, values: values, complaint: complaint)
  }

  // MARK: Making

  @Sendable func newWebhook(_ visit: Visit) async throws -> Response { webhookForm(visit, nil) }

  private func webhookForm(_ visit: Visit, _ complaint: Complaint?) -> Response {
    page(
      visit, "webhook-new", "New webhook", section: Self.section,
      values: ["form": newFormID(), "url": visit.form.text("url")], complaint: complaint)
  }

  @Sendable func createWebhook(_ visit: Visit) async throws -> Response {
    guard let url = WebhookURL(visit.form.trimmed("url")) else {
      return webhookForm(
        visit,
        Complaint(
          "This is no URL for a webhook: http or https, \(WebhookURL.longest) characters at the most, no user, password or fragment."
        ))
    }
    if !parts.allowsPrivateWebhooks, NetworkAddress(url.host).map({ !AddressGuard.isPublic($0) }) ?? false {
      return webhookForm(
        visit, Complaint("\(url.host) is a private address. This server reports to public addresses only."))
    }
    // Which also keeps a form that is sent again from making a second one.
    let existing = try await visit.asking { try await accounts.webhooks(of: visit.account.id) }
    if existing.contains(where: { $0.url == url.description }) {
      return webhookForm(
        visit,
        Complaint(
          "There is a webhook for this URL already. If you do not have its secret, replace it on the webhook's page.",
          status: 409))
    }
    let secret = WebhookSecret(bytes: try secret(for: visit, "webhook", [url.description]))
    var made: WebhookEndpoint?
    let complaint = try await visit.attempting {
      made = try await accounts.createWebhook(url: url, secret: secret, of: visit.account.id)
    }
    guard let made else { return webhookForm(visit, complaint) }
    return secretShown(visit, made, secret, isNew: true)
  }

  private func secretShown(
    _ visit: Visit, _ webhook: WebhookEndpoint, _ secret: WebhookSecret, isNew: Bool
  ) -> Response {
    var values = Self.values(webhook)
    values["secret"] = secret.text
    values["copy"] = HTML.copyButton(secret.text, label: "secret")
    values["isNew"] = isNew
    return page(
      visit, "webhook-secret", isNew ? "Your new webhook" : "The new secret", section: Self.section, values: values)
  }

  // MARK: Changing

  @Sendable func secretPage(_ visit: Visit) async throws -> Response {
    var values = Self.values(try await found(visit))
    values["form"] = newFormID()
    return page(visit, "webhook-replace", "Replace the secret", section: Self.section, values: values)
  }

  /// The store changes nothing where the secret is the one that the webhook has: a form that is sent again keeps the
  /// secret before it signing.
  @Sendable func replaceSecret(_ visit: Visit) async throws -> Response {
    let webhook = try await found(visit)
    let secret = WebhookSecret(bytes: try secret(for: visit, "secret", [String(webhook.id.rawValue)]))
    try await visit.asking { try await accounts.setWebhookSecret(webhook.id, to: secret, of: visit.account.id) }
    return secretShown(visit, webhook, secret, isNew: false)
  }

  @Sendable func setWebhook(_ visit: Visit, enabled: Bool) async throws -> Response {
    let id = WebhookEndpointID(try visit.id())
    _ = try await visit.asking { try await accounts.setWebhook(id, enabled: enabled, of: visit.account.id) }
    if enabled { parts.deliveryIsDue() }
    return door.redirect(to: "\(Self.section)/\(id.rawValue)?done=\(enabled ? "enabled" : "disabled")")
  }

  @Sendable func deleteWebhookPage(_ visit: Visit) async throws -> Response {
    page(
      visit, "webhook-delete", "Delete a webhook", section: Self.section, values: Self.values(try await found(visit)))
  }

  @Sendable func deleteWebhook(_ visit: Visit) async throws -> Response {
    let id = WebhookEndpointID(try visit.id())
    try await visit.asking { try await accounts.deleteWebhook(id, of: visit.account.id) }
    return door.redirect(to: "\(Self.section)?done=deleted")
  }

  @Sendable func testWebhook(_ visit: Visit) async throws -> Response {
    let id = WebhookEndpointID(try visit.id())
    let complaint = try await visit.attempting {
      _ = try await accounts.createTestDelivery(for: id, of: visit.account.id)
    }
    if let complaint { return try await webhookPage(visit, try await found(visit), complaint: complaint) }
    parts.deliveryIsDue()
    return door.redirect(to: "\(Self.section)/\(id.rawValue)?done=tested")
  }

  // MARK: Deliveries

  @Sendable func deliveries(_ visit: Visit) async throws -> Response {
    try await deliveriesPage(visit, visit.query, complaint: nil)
  }

  private func deliveriesPage(_ visit: Visit, _ query: FormFields, complaint: Complaint?) async throws -> Response {
    let state = query["state"].flatMap(DeliveryState.init(name:))
    let webhooks = try await visit.asking { try await accounts.webhooks(of: visit.account.id) }
    let endpoint = query["webhook"].flatMap(Visit.number).map { WebhookEndpointID($0) }
    if let endpoint, !webhooks.contains(where: { $0.id == endpoint }) {
      throw AdministrationError.unknownWebhook(endpoint).refusal
    }
    let before = query["before"].flatMap(Visit.number).map { DeliveryID($0) }
    let found = try await visit.asking {
      try await accounts.deliveries(
        of: visit.account.id, endpoint: endpoint, state: state, before: before, limit: Self.deliveriesShown + 1)
    }
    let shown = found.prefix(Self.deliveriesShown)
    let filter = endpoint.map { "webhook=\($0.rawValue)&" } ?? ""
    let states: [(String, DeliveryState?)] = [
      ("All", nil), ("Pending", .pending), ("Delivered", .delivered), ("Dead", .dead),
    ]
    var values: [String: Any] = [
      "deliveries": shown.map { self.values(of: $0, showsURL: endpoint == nil) }, "isEmpty": shown.isEmpty,
      "filters": states.map { name, value in
        [
          "name": name, "current": value == state,
          "address": "/dashboard/deliveries?\(filter)" + (value.map { "state=\($0.name)" } ?? ""),
        ] as [String: Any]
      },
      "isFirst": before == nil,
    ]
    if let webhook = webhooks.first(where: { $0.id == endpoint }) { values["webhook"] = Self.values(webhook) }
    if found.count > Self.deliveriesShown, let last = shown.last {
      values["next"] = [
        "address": "/dashboard/deliveries?\(filter)" + (state.map { "state=\($0.name)&" } ?? "")
          + "before=\(last.id.rawValue)"
      ]
    }
    return page(visit, "deliveries", "Deliveries", section: Self.section, values: values, complaint: complaint)
  }

  private func values(of delivery: DeliveryReport, showsURL: Bool) -> [String: Any] {
    var values: [String: Any] = [
      "id": delivery.id.rawValue, "webhook": delivery.endpoint.rawValue, "state": delivery.state.name,
      "created": moment(delivery.created), "isPending": delivery.state == .pending,
      "attempts": delivery.attempts.reversed().map(Self.values), "hasAttempts": !delivery.attempts.isEmpty,
      "attemptCount": delivery.attempts.count, "isOneAttempt": delivery.attempts.count == 1,
    ]
    values["hasURL"] = showsURL
    values["url"] = HTML.shown(delivery.url.shortened(to: 80))
    if let outcome = delivery.outcome, ShortIDs.numbers.contains(outcome) {
      values["outcome"] = ["shortId": String(decoding: renderer.shortIDs.encode(outcome), as: UTF8.self)]
    }
    if let due = delivery.due, !delivery.attempts.isEmpty { values["due"] = moment(due) }
    return values
  }

  private static func values(_ attempt: DeliveryAttempt) -> [String: Any] {
    var values: [String: Any] = [
      "at": moment(attempt.at), "status": attempt.status.map(String.init) ?? "No answer",
      "latency": grouped(Int(attempt.latency)), "isGood": attempt.error == nil,
    ]
    if let error = attempt.error { values["error"] = HTML.shown(error) }
    if !attempt.answer.isEmpty { values["answer"] = HTML.shown(String(decoding: attempt.answer, as: UTF8.self)) }
    return values
  }

  @Sendable func resend(_ visit: Visit) async throws -> Response {
    let id = DeliveryID(try visit.id())
    // Where the form stood, to come back to.
    let webhook = visit.form["webhook"].flatMap(Visit.number)
    let complaint = try await visit.attempting { try await accounts.resendDelivery(id, of: visit.account.id) }
    if let complaint { return try await deliveriesPage(visit, visit.query, complaint: complaint) }
    parts.deliveryIsDue()
    return door.redirect(
      to: "/dashboard/deliveries?" + (webhook.map { "webhook=\($0)&" } ?? "") + "done=resent")
  }
}
