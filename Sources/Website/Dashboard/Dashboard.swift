import API
import Accounts
import Crypto
import Fairness
import Foundation
import Hummingbird
import Ledger

/// The pages for account holders. Whoever has not signed in is sent to `/sign-in`; what changes something is a POST, from
/// a form of this site, and is followed by a GET, unless it shows what is shown once.
struct Dashboard: Routes {
  let layout: Layout
  let sessionGuard: SessionGuard
  let parts: DashboardParts
  let store: any LedgerStore
  let renderer: OutcomeRenderer
  /// Where people reach the server, without a slash at its end.
  let publicURL: String

  typealias Answer = @Sendable (DashboardRequest) async throws -> Response

  var accounts: any LedgerStore & AccountStore & WebhookStore { parts.accounts }

  var routes: [Route] {
    [
      route("/dashboard", get: overview),
      route("/dashboard/keys", get: keys, post: createKey),
      route("/dashboard/keys/new", get: newKey),
      route("/dashboard/keys/{id}/revoke", get: revokePage, post: revoke),
      route("/dashboard/keys/{id}/quota", get: quotaPage, post: setQuota),
      route("/dashboard/usage", get: usage),
      route("/dashboard/outcomes", get: outcomes),
      route("/dashboard/requests", get: storedRequest),
      route("/dashboard/outcomes/chain", get: chain),
      route("/dashboard/outcomes/rotate", get: rotatePage, post: rotate),
      route("/dashboard/webhooks", get: webhooks, post: createWebhook),
      route("/dashboard/webhooks/new", get: newWebhook),
      route("/dashboard/webhooks/{id}", get: webhook),
      route("/dashboard/webhooks/{id}/test", post: testWebhook),
      route("/dashboard/webhooks/{id}/events", post: changeEvents),
      route("/dashboard/webhooks/{id}/resend", post: resendAll),
      route("/dashboard/webhooks/{id}/enable", post: { try await setWebhook($0, enabled: true) }),
      route("/dashboard/webhooks/{id}/disable", post: { try await setWebhook($0, enabled: false) }),
      route("/dashboard/webhooks/{id}/secret", get: secretPage, post: replaceSecret),
      route("/dashboard/webhooks/{id}/delete", get: deleteWebhookPage, post: deleteWebhook),
      route("/dashboard/deliveries", get: deliveries),
      route("/dashboard/deliveries/{id}/resend", post: resend),
      route("/dashboard/account", get: account),
      route("/dashboard/account/password", post: changePassword),
      route("/dashboard/account/sessions", post: endOtherSessions),
      route("/dashboard/account/export", get: export),
      route("/dashboard/account/delete", get: deleteAccountPage, post: deleteAccount),
    ]
  }

  // MARK: Who may come in

  private func route(_ path: String, get: Answer? = nil, post: Answer? = nil) -> Route {
    let answer: Route.Handler = { request, context in
      guard let (account, session, token) = try await sessionGuard.visitor(request, context) else {
        return sessionGuard.redirect(to: "/sign-in" + Self.wayBack(request, context))
      }
      let query = try FormFields(context.target.query)
      guard request.method == .post else {
        guard let get else { throw Refusal.nothingHere }
        return try await get(
          DashboardRequest(
            request: request, context: context, account: account, session: session, token: token, query: query,
            form: try FormFields([])))
      }
      guard let post else { throw Refusal.nothingHere }
      let form = try await FormFields(request)
      try sessionGuard.formGuard.check(request, context, token: token, sent: form.text("token"))
      try parts.gate.takeUncosted(for: account.id)
      return try await post(
        DashboardRequest(
          request: request, context: context, account: account, session: session, token: token, query: query,
          form: form))
    }
    return switch (get, post) {
    case (nil, _): Route(path, .post, readsKey: false, handler: answer)
    case (_, nil): Route(path, .get, readsKey: false, handler: answer)
    default: Route(path, .get, .post, readsKey: false, handler: answer)
    }
  }

  /// What has the sign-in lead back to a page that was asked for.
  private static func wayBack(_ request: Request, _ context: FairdrawContext) -> String {
    let asked = String(decoding: context.target.bytes, as: UTF8.self)
    guard request.method != .post, asked != "/dashboard", NextPage.checked(asked) == asked else { return "" }
    return "?next=" + percentEncoded(asked.utf8)
  }

  // MARK: Pages

  private static let sections = [
    ("/dashboard", "Overview"), ("/dashboard/keys", "Keys"), ("/dashboard/usage", "Usage"),
    ("/dashboard/outcomes", "Outcomes"), ("/dashboard/webhooks", "Webhooks"), ("/dashboard/account", "Account"),
  ]

  /// A page in the dashboard's frame.
  ///
  /// - Parameters:
  ///   - section: the address in the navigation that it belongs to.
  ///   - problem: what is wrong with the form that was sent; the template shows it, and has what was filled in among
  ///     its values.
  func page(
    _ incoming: DashboardRequest, _ template: String, _ title: String, section: String, values: [String: Any] = [:],
    problem: FormProblem? = nil
  ) -> Response {
    var values = values
    values["token"] = incoming.token.formToken
    if let problem { values["problem"] = ["sentence": problem.sentence] }
    if let notice = incoming.query["done"].flatMap({ Self.notices[$0] }), problem == nil,
      incoming.request.method != .post
    {
      values["notice"] = ["sentence": notice]
    }
    let stopped = parts.gate.stopped
    let body = layout.templates.render(
      "dashboard",
      [
        "account": HTML.shown(incoming.account.name), "token": incoming.token.formToken,
        "sections": Self.sections.map { address, name in
          ["address": address, "name": name, "current": address == section] as [String: Any]
        },
        "page": layout.templates.render(template, values), "isStopped": stopped != nil, "reason": stopped?.error ?? "",
      ])
    let html = layout.html(
      .init(
        title: "\(title) – Fairdraw", description: "Your account on this server.", body: body, script: "dashboard.js",
        style: "dashboard.css", section: "/dashboard", isWide: true))
    return PageResponses.personal(html, problem)
  }

  /// What a page says was done just before, by the word in its address.
  private static let notices = [
    "revoked": "The key is revoked. Every server rejects it within a second.",
    "sent-before":
      "This form was already sent, and it created one key. A key is shown once. If you do not have it, revoke it and create another.",
    "quota": "The quota of the key is changed. It counts from the next draw on.",
    "deleted": "The webhook is deleted.",
    "enabled": "The webhook is enabled.",
    "disabled": "The webhook is disabled. Draws made from now on are never reported to it.",
    "tested": "A test event is on its way. Reload the page in a moment to see the result below.",
    "resent": "The delivery is due. Reload the page in a moment to see the result below.",
    "resent-all": "The deliveries are due. Reload the page in a moment to see the results below.",
    "events": "The events are changed. Draws and other events from now on are sent, or not sent, as you chose.",
    "signed-out": "All other sessions were signed out.",
    "password": "The password is changed. All other sessions were signed out.",
  ]

  // MARK: Forms that may arrive twice

  /// A new form's own number.
  ///
  /// - Throws: a ``StoreFailure`` if the random source has failed.
  func newFormID() throws(StoreFailure) -> String { try SessionToken().text }

  /// 32 bytes for the secret that a form asks for: the same for the same form of the same session with the same content,
  /// on every server, so that a form that is sent again, by a reload or an impatient finger, makes nothing new; and
  /// nobody can tell them who does not know the installation's master key.
  ///
  /// - Throws: a 400 if the form has no number.
  func secret(for incoming: DashboardRequest, _ purpose: String, _ content: [String]) throws(Refusal) -> [UInt8] {
    guard let id = SessionToken(incoming.form.text("form")) else {
      throw .badRequest("The form is incomplete. Open its page again.")
    }
    var code = HMAC<SHA256>(key: parts.formSecret)
    // Each part with its length, so that no two different forms run together.
    for part in [Array(purpose.utf8), incoming.session.digest.bytes, Array(id.text.utf8)]
      + content.map({ Array($0.utf8) })
    {
      code.update(data: withUnsafeBytes(of: UInt64(part.count).bigEndian) { Array($0) })
      code.update(data: part)
    }
    return Array(code.finalize())
  }
}

/// Bytes as they stand in a query: everything but letters, digits and a few marks by its number.
func percentEncoded(_ bytes: some Sequence<UInt8>) -> String {
  var out: [UInt8] = []
  for byte in bytes {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
      out.append(byte)
    default:
      out.append(UInt8(ascii: "%"))
      out.append(contentsOf: hex([byte]).uppercased().utf8)
    }
  }
  return String(decoding: out, as: UTF8.self)
}

/// A whole number with thin spaces between its thousands.
func grouped(_ number: Int) -> String {
  let digits = Array(String(number.magnitude))
  var out = number < 0 ? "−" : ""
  for (place, digit) in digits.enumerated() {
    if place > 0, (digits.count - place).isMultiple(of: 3) { out.append("\u{202F}") }
    out.append(digit)
  }
  return out
}

/// A moment for a `<time>`: for programs and for people.
func moment(_ at: Milliseconds) -> [String: Any] {
  let iso = at.iso8601
  return ["iso": iso, "text": iso.prefix(10) + " " + iso.dropFirst(11).prefix(5)]
}
