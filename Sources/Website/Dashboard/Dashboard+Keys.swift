import API
import Accounts
import Hummingbird
import Ledger

extension Dashboard {
  // MARK: Listing

  @Sendable func keys(_ incoming: DashboardRequest) async throws -> Response {
    let reports = try await incoming.asking { try await accounts.keys(of: incoming.account.id) }
    let newest = reports.reversed()
    let working = newest.filter { $0.key.revoked == nil }
    let revoked = newest.filter { $0.key.revoked != nil }
    return page(
      incoming, "keys", "Keys", section: "/dashboard/keys",
      values: [
        "keys": working.map(Self.values), "isEmpty": working.isEmpty, "revoked": revoked.map(Self.values),
        "revokedCount": revoked.count, "hasRevoked": !revoked.isEmpty, "hasAny": !reports.isEmpty,
      ])
  }

  private static func values(_ report: KeyReport) -> [String: Any] {
    let key = report.key
    var values: [String: Any] = [
      "id": key.id.rawValue, "name": name(key), "mode": key.mode.name, "isLive": key.mode == .live,
      "prefix": key.prefix, "created": moment(key.created), "denied": grouped(report.activity.denied),
      "wasDenied": report.activity.denied > 0,
      "networks": key.allowedNetworks.map { ["text": HTML.shown($0)] },
      "referers": key.allowedReferers.map { ["text": HTML.shown($0)] },
      "scopes": key.scopes.names.joined(separator: ", "),
      "isOpen": key.allowedNetworks.isEmpty && key.allowedReferers.isEmpty,
      "quota": key.dailyQuota.map(String.init) ?? "",
    ]
    if let quota = key.dailyQuota { values["ownQuota"] = ["used": grouped(report.usedToday), "quota": grouped(quota)] }
    if let last = report.activity.lastUsed { values["lastUsed"] = moment(last) }
    if let last = report.activity.lastDenied { values["lastDenied"] = moment(last) }
    if let revoked = key.revoked { values["revokedAt"] = moment(revoked) }
    return values
  }

  /// What a key is called, as HTML: its name, or that it has none.
  static func name(_ key: APIKeyRecord) -> String {
    key.name.isEmpty ? "<span class=\"quiet\">No name</span>" : HTML.shown(key.name)
  }

  // MARK: Making

  @Sendable func newKey(_ incoming: DashboardRequest) async throws -> Response { try keyForm(incoming, nil) }

  private func keyForm(_ incoming: DashboardRequest, _ problem: FormProblem?) throws -> Response {
    let form = incoming.form
    return page(
      incoming, "key-new", "New key", section: "/dashboard/keys",
      values: [
        "scopeChoices": Self.scopeChoices(form.text("scopes")),
        "form": try newFormID(), "name": form.text("name"), "isTest": form.text("mode") == "test",
        "networks": form.text("networks"), "referers": form.text("referers"), "quota": form.text("quota"),
        "isRestricted": !(form.trimmed("networks") + form.trimmed("referers") + form.trimmed("quota")).isEmpty,
      ], problem: problem)
  }

  /// What a new key may be made to do; the first is what it may do usually.
  private static func scopeChoices(_ chosen: String) -> [[String: Any]] {
    let choices: [(KeyScopes, String)] = [
      (.usual, "Draw, and look up outcomes and usage"), (.draw, "Draw only"),
      (.read, "Look up outcomes and usage only"),
      ([.draw, .read, .manage], "Draw, look up, and manage webhooks"), (.manage, "Manage webhooks only"),
    ]
    return choices.map { scopes, label in
      let value = scopes.names.joined(separator: ",")
      return ["value": value, "label": label, "isChosen": value == chosen]
    }
  }

  @Sendable func createKey(_ incoming: DashboardRequest) async throws -> Response {
    let form = incoming.form
    let name = form.trimmed("name")
    let networks = Self.entries(form.text("networks"))
    let referers = Self.entries(form.text("referers"))
    guard KeyName.isValid(name) else {
      return try keyForm(incoming, FormProblem("A key's name is one line of up to 100 characters."))
    }
    guard let mode = Mode(name: form.text("mode")) else {
      return try keyForm(incoming, FormProblem("Choose whether the key is for live or for test draws."))
    }
    let names = (form["scopes"] ?? "draw,read").split(separator: ",", omittingEmptySubsequences: false)
    guard let scopes = KeyScopes(names: names) else {
      return try keyForm(incoming, FormProblem("Choose what the key may do."))
    }
    if let problem = scopes.problem(in: mode) {
      return try keyForm(incoming, FormProblem(problem.prefix(1).uppercased() + problem.dropFirst() + "."))
    }
    if let problem = KeyRestrictions.problem(networks: networks, referers: referers) {
      return try keyForm(incoming, FormProblem(problem))
    }
    if let problem = Self.quotaProblem(form.trimmed("quota"), mode) { return try keyForm(incoming, problem) }
    var key = NewAPIKey(
      mode: mode, cell: try await incoming.asking { try await accounts.cell() }, name: name, allowedNetworks: networks,
      allowedReferers: referers, scopes: scopes,
      bytes: try secret(
        for: incoming, "key",
        [mode.name, name] + ["networks"] + networks + ["origins"] + referers + ["scopes"] + scopes.names
          + ["quota", form.trimmed("quota")]))
    key.dailyQuota = Int(form.trimmed("quota"))
    let newKey = key
    // The store has no two keys of one hash, whichever servers they are made on.
    var wasSentBefore = false
    let problem = try await incoming.attempting {
      do {
        _ = try await accounts.createKey(newKey, of: incoming.account.id)
      } catch AdministrationError.keyExists {
        wasSentBefore = true
      }
    }
    if wasSentBefore { return sessionGuard.redirect(to: "/dashboard/keys?done=sent-before") }
    if let problem { return try keyForm(incoming, problem) }
    return page(
      incoming, "key-made", "Your new key", section: "/dashboard/keys",
      values: [
        "secret": key.secret, "copy": HTML.copyButton(key.secret, label: "key"), "prefix": key.prefix,
        "mode": mode.name, "isLive": mode == .live, "curl": curl(key: key.secret),
        "copyCurl": HTML.copyButton(curl(key: key.secret), label: "command"),
        "isOpen": networks.isEmpty && referers.isEmpty,
      ])
  }

  /// What stands in a field for several things: one a line, or with spaces or commas between them.
  private static func entries(_ text: String) -> [String] {
    text.split { $0.isWhitespace || $0 == "," }.map(String.init)
  }

  // MARK: Quotas

  /// What is wrong with a quota as it was filled in; empty is none.
  private static func quotaProblem(_ text: String, _ mode: Mode) -> FormProblem? {
    guard !text.isEmpty else { return nil }
    guard let quota = Int(text), Account.dailyQuotas.contains(quota) else {
      return FormProblem("A daily quota is a whole number from 0 to \(Account.dailyQuotas.upperBound), or empty.")
    }
    return KeyQuota.problem(in: mode).map { FormProblem($0.prefix(1).uppercased() + $0.dropFirst() + ".") }
  }

  /// The key that an address names.
  private func report(_ incoming: DashboardRequest) async throws -> KeyReport {
    let id = KeyID(try incoming.id())
    let reports = try await incoming.asking { try await accounts.keys(of: incoming.account.id) }
    guard let report = reports.first(where: { $0.key.id == id }) else {
      throw AdministrationError.unknownKey("").refusal
    }
    return report
  }

  @Sendable func quotaPage(_ incoming: DashboardRequest) async throws -> Response {
    page(
      incoming, "key-quota", "A key’s quota", section: "/dashboard/keys",
      values: Self.values(try await report(incoming)))
  }

  @Sendable func setQuota(_ incoming: DashboardRequest) async throws -> Response {
    let report = try await report(incoming)
    let text = incoming.form.trimmed("quota")
    if let problem = Self.quotaProblem(text, report.key.mode) {
      return page(
        incoming, "key-quota", "A key’s quota", section: "/dashboard/keys",
        values: Self.values(report).merging(["quota": text]) { $1 }, problem: problem)
    }
    _ = try await incoming.asking {
      try await accounts.setKeyQuota(Int(text), of: report.key.id, account: incoming.account.id)
    }
    return sessionGuard.redirect(to: "/dashboard/keys?done=quota")
  }

  // MARK: Revoking

  @Sendable func revokePage(_ incoming: DashboardRequest) async throws -> Response {
    let report = try await report(incoming)
    guard report.key.revoked == nil else { return sessionGuard.redirect(to: "/dashboard/keys?done=revoked") }
    return page(
      incoming, "key-revoke", "Revoke a key", section: "/dashboard/keys", values: Self.values(report))
  }

  @Sendable func revoke(_ incoming: DashboardRequest) async throws -> Response {
    let id = KeyID(try incoming.id())
    _ = try await incoming.asking { try await accounts.revokeKey(id, of: incoming.account.id) }
    return sessionGuard.redirect(to: "/dashboard/keys?done=revoked")
  }
}
