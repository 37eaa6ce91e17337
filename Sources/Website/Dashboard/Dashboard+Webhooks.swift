import API
import Accounts
import Fairness
import Foundation
import Hummingbird
import Ledger
import Webhooks

extension Dashboard {
  private static let section = "/dashboard/webhooks"
  private static let deliveriesShown = 25

  // MARK: Listing

  @Sendable func webhooks(_ incoming: DashboardRequest) async throws -> Response {
    let webhooks = try await incoming.asking { try await accounts.webhooks(of: incoming.account.id) }
    return page(
      incoming, "webhooks", "Webhooks", section: Self.section,
      values: [
        "webhooks": webhooks.map(Self.values), "isEmpty": webhooks.isEmpty, "hasAny": !webhooks.isEmpty,
        "isFull": webhooks.count >= maximumWebhooks,
      ])
  }

  private static func values(_ webhook: WebhookEndpoint) -> [String: Any] {
    var values: [String: Any] = [
      "id": webhook.id.rawValue, "url": HTML.shown(webhook.url), "isEnabled": webhook.isEnabled,
      "created": moment(webhook.created), "toldOfAll": webhook.events == .all,
      "events": webhook.events.names.joined(separator: ", "),
    ]
    if let key = webhook.publicKey { values["publicKey"] = key }
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
  private func found(_ incoming: DashboardRequest) async throws -> WebhookEndpoint {
    let id = WebhookEndpointID(try incoming.id())
    let webhooks = try await incoming.asking { try await accounts.webhooks(of: incoming.account.id) }
    guard let webhook = webhooks.first(where: { $0.id == id }) else {
      throw AdministrationError.unknownWebhook(id).refusal
    }
    return webhook
  }

  @Sendable func webhook(_ incoming: DashboardRequest) async throws -> Response {
    let webhook = try await found(incoming)
    return try await webhookPage(incoming, webhook)
  }

  private func webhookPage(
    _ incoming: DashboardRequest, _ webhook: WebhookEndpoint, problem: FormProblem? = nil
  ) async throws -> Response {
    let latest = try await incoming.asking {
      try await accounts.deliveries(of: incoming.account.id, endpoint: webhook.id, state: nil, before: nil, limit: 10)
    }
    var values = Self.values(webhook)
    values["deliveries"] = latest.map { self.values(of: $0, showsURL: false) }
    values["hasDeliveries"] = !latest.isEmpty
    values["types"] = Self.types { webhook.events != .all && webhook.events.names.contains($0) }
    values["from"] = incoming.form.text("from")
    values["until"] = incoming.form.text("until")
    values["isDelivered"] = incoming.form["state"] == "delivered"
    values["isResending"] = incoming.form["from"] != nil
    return page(incoming, "webhook", "A webhook", section: Self.section, values: values, problem: problem)
  }

  // MARK: Making

  @Sendable func newWebhook(_ incoming: DashboardRequest) async throws -> Response { try webhookForm(incoming, nil) }

  private func webhookForm(_ incoming: DashboardRequest, _ problem: FormProblem?) throws -> Response {
    page(
      incoming, "webhook-new", "New webhook", section: Self.section,
      values: [
        "form": try newFormID(), "url": incoming.form.text("url"),
        "types": Self.types { incoming.form[$0] != nil },
      ], problem: problem)
  }

  @Sendable func createWebhook(_ incoming: DashboardRequest) async throws -> Response {
    guard let url = WebhookURL(incoming.form.trimmed("url")) else {
      return try webhookForm(
        incoming,
        FormProblem(
          "This URL is not valid for a webhook. Use http or https, at most \(WebhookURL.longest) characters, and no user, password or fragment."
        ))
    }
    if !parts.allowsPrivateWebhooks, NetworkAddress(url.host).map({ !AddressGuard.isPublic($0) }) ?? false {
      return try webhookForm(
        incoming, FormProblem("\(url.host) is a private address. This server sends events only to public addresses."))
    }
    let events = Self.events(in: incoming.form)
    let secret = WebhookSecret(bytes: try secret(for: incoming, "webhook", [url.description]))
    var made: WebhookEndpoint?
    let problem = try await incoming.attempting {
      made = try await accounts.createWebhook(
        NewWebhook(url: url, secret: secret, events: events, isOnlyOfURL: true), of: incoming.account.id
      ).webhook
    }
    guard let made else { return try webhookForm(incoming, problem) }
    return secretShown(incoming, made, secret, isNew: true)
  }

  /// What a form has ticked; all of them if it has ticked none.
  private static func events(in form: FormFields) -> WebhookEvents {
    WebhookEvents(names: WebhookEvents.allNames.filter { form[$0] != nil }) ?? .all
  }

  /// The types of events to tick.
  private static func types(isChosen: (String) -> Bool) -> [[String: Any]] {
    WebhookEvents.allNames.map { ["name": $0, "isChosen": isChosen($0)] }
  }

  private func secretShown(
    _ incoming: DashboardRequest, _ webhook: WebhookEndpoint, _ secret: WebhookSecret, isNew: Bool
  ) -> Response {
    var values = Self.values(webhook)
    values["secret"] = secret.text
    values["copy"] = HTML.copyButton(secret.text, label: "secret")
    values["isNew"] = isNew
    return page(
      incoming, "webhook-secret", isNew ? "Your new webhook" : "The new secret", section: Self.section, values: values)
  }

  // MARK: Changing

  @Sendable func secretPage(_ incoming: DashboardRequest) async throws -> Response {
    var values = Self.values(try await found(incoming))
    values["form"] = try newFormID()
    return page(incoming, "webhook-replace", "Replace the secret", section: Self.section, values: values)
  }

  /// The store changes nothing where the secret is the one that the webhook has: a form that is sent again keeps the
  /// secret before it signing.
  @Sendable func replaceSecret(_ incoming: DashboardRequest) async throws -> Response {
    let webhook = try await found(incoming)
    let secret = WebhookSecret(bytes: try secret(for: incoming, "secret", [String(webhook.id.rawValue)]))
    try await incoming.asking { try await accounts.setWebhookSecret(webhook.id, to: secret, of: incoming.account.id) }
    return secretShown(incoming, webhook, secret, isNew: false)
  }

  @Sendable func setWebhook(_ incoming: DashboardRequest, enabled: Bool) async throws -> Response {
    let id = WebhookEndpointID(try incoming.id())
    _ = try await incoming.asking { try await accounts.setWebhook(id, enabled: enabled, of: incoming.account.id) }
    if enabled { parts.deliveryIsDue() }
    return sessionGuard.redirect(to: "\(Self.section)/\(id.rawValue)?done=\(enabled ? "enabled" : "disabled")")
  }

  @Sendable func changeEvents(_ incoming: DashboardRequest) async throws -> Response {
    let id = WebhookEndpointID(try incoming.id())
    let change = WebhookChange(events: Self.events(in: incoming.form))
    _ = try await incoming.asking { try await accounts.changeWebhook(id, change, of: incoming.account.id) }
    return sessionGuard.redirect(to: "\(Self.section)/\(id.rawValue)?done=events")
  }

  @Sendable func deleteWebhookPage(_ incoming: DashboardRequest) async throws -> Response {
    page(
      incoming, "webhook-delete", "Delete a webhook", section: Self.section,
      values: Self.values(try await found(incoming)))
  }

  @Sendable func deleteWebhook(_ incoming: DashboardRequest) async throws -> Response {
    let id = WebhookEndpointID(try incoming.id())
    try await incoming.asking { try await accounts.deleteWebhook(id, of: incoming.account.id) }
    return sessionGuard.redirect(to: "\(Self.section)?done=deleted")
  }

  @Sendable func testWebhook(_ incoming: DashboardRequest) async throws -> Response {
    let id = WebhookEndpointID(try incoming.id())
    let problem = try await incoming.attempting {
      _ = try await accounts.createTestDelivery(for: id, of: incoming.account.id)
    }
    if let problem { return try await webhookPage(incoming, try await found(incoming), problem: problem) }
    parts.deliveryIsDue()
    return sessionGuard.redirect(to: "\(Self.section)/\(id.rawValue)?done=tested")
  }

  // MARK: Deliveries

  @Sendable func deliveries(_ incoming: DashboardRequest) async throws -> Response {
    try await deliveriesPage(incoming, incoming.query, problem: nil)
  }

  private func deliveriesPage(_ incoming: DashboardRequest, _ query: FormFields, problem: FormProblem?) async throws
    -> Response
  {
    let state = query["state"].flatMap(DeliveryState.init(name:))
    let webhooks = try await incoming.asking { try await accounts.webhooks(of: incoming.account.id) }
    let endpoint = query["webhook"].flatMap(DashboardRequest.number).map { WebhookEndpointID($0) }
    if let endpoint, !webhooks.contains(where: { $0.id == endpoint }) {
      throw AdministrationError.unknownWebhook(endpoint).refusal
    }
    let before = query["before"].flatMap(DashboardRequest.number).map { DeliveryID($0) }
    let found = try await incoming.asking {
      try await accounts.deliveries(
        of: incoming.account.id, endpoint: endpoint, state: state, before: before, limit: Self.deliveriesShown + 1)
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
    return page(incoming, "deliveries", "Deliveries", section: Self.section, values: values, problem: problem)
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
    values["event"] = delivery.event
    values["isTest"] = delivery.event == "test"
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

  /// So many thousands of deliveries are sent again at once, at the most.
  private static let mostRounds = 100

  /// Sends again what was made in some time, and is dead or was delivered.
  @Sendable func resendAll(_ incoming: DashboardRequest) async throws -> Response {
    let webhook = try await found(incoming)
    let state: DeliveryState = incoming.form["state"] == "delivered" ? .delivered : .dead
    guard let from = TimeSpan.range(incoming.form.trimmed("from"))?.lowerBound,
      let until = TimeSpan.range(incoming.form.trimmed("until"))?.upperBound, from <= until
    else {
      return try await webhookPage(
        incoming, webhook,
        problem: FormProblem("Enter the first and the last time, in UTC, such as 2026-11-21T09:30, or a day."))
    }
    var count = 0
    var problem = try await incoming.attempting {
      count = try await accounts.resendAllDeliveries(
        of: webhook.id, made: from...until, state: state, of: incoming.account.id, rounds: Self.mostRounds)
    }
    if problem == nil, count == 0 {
      problem = FormProblem("No delivery that was made in this time is \(state.name). Nothing was sent.", status: 409)
    }
    if let problem { return try await webhookPage(incoming, webhook, problem: problem) }
    parts.deliveryIsDue()
    return sessionGuard.redirect(to: "/dashboard/deliveries?webhook=\(webhook.id.rawValue)&done=resent-all")
  }

  @Sendable func resend(_ incoming: DashboardRequest) async throws -> Response {
    let id = DeliveryID(try incoming.id())
    // Where the form stood, to come back to.
    let webhook = incoming.form["webhook"].flatMap(DashboardRequest.number)
    let problem = try await incoming.attempting { try await accounts.resendDelivery(id, of: incoming.account.id) }
    if let problem { return try await deliveriesPage(incoming, incoming.query, problem: problem) }
    parts.deliveryIsDue()
    return sessionGuard.redirect(
      to: "/dashboard/deliveries?" + (webhook.map { "webhook=\($0)&" } ?? "") + "done=resent")
  }
}
