import API
import Hummingbird
import Ledger

extension Dashboard {
  // MARK: Listing

  @Sendable func keys(_ visit: Visit) async throws -> Response {
    let reports = try await visit.asking { try await accounts.keys(of: visit.account.id) }
    let newest = reports.reversed()
    let working = newest.filter { $0.key.revoked == nil }
    let revoked = newest.filter { $0.key.revoked != nil }
    return page(
      visit, "keys", "Keys", section: "/dashboard/keys",
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
      "isOpen": key.allowedNetworks.isEmpty && key.allowedReferers.isEmpty,
    ]
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

  @Sendable func newKey(_ visit: Visit) async throws -> Response { keyForm(visit, nil) }

  private func keyForm(_ visit: Visit, _ complaint: Complaint?) -> Response {
    let form = visit.form
    return page(
      visit, "key-new", "New key", section: "/dashboard/keys",
      values: [
        "form": newFormID(), "name": form.text("name"), "isTest": form.text("mode") == "test",
        "networks": form.text("networks"), "referers": form.text("referers"),
        "isRestricted": !(form.trimmed("networks") + form.trimmed("referers")).isEmpty,
      ], complaint: complaint)
  }

  @Sendable func createKey(_ visit: Visit) async throws -> Response {
    let form = visit.form
    let name = form.trimmed("name")
    let networks = Self.entries(form.text("networks"))
    let referers = Self.entries(form.text("referers"))
    guard KeyName.isValid(name) else {
      return keyForm(visit, Complaint("A key's name is one line of up to 100 characters."))
    }
    guard let mode = Mode(name: form.text("mode")) else {
      return keyForm(visit, Complaint("Choose whether the key is for live or for test draws."))
    }
    if let problem = KeyRestrictions.problem(networks: networks, referers: referers) {
      return keyForm(visit, Complaint(problem))
    }
    let key = NewAPIKey(
      mode: mode, name: name, allowedNetworks: networks, allowedReferers: referers,
      bytes: try secret(
        for: visit, "key", [mode.name, name] + ["networks"] + networks + ["origins"] + referers))
    // The store has no two keys of one hash, whichever servers they are made on.
    if try await visit.asking({ try await store.key(hash: key.hash) }) != nil {
      return door.redirect(to: "/dashboard/keys?done=sent-before")
    }
    let complaint = try await visit.attempting { _ = try await accounts.createKey(key, of: visit.account.id) }
    if let complaint { return keyForm(visit, complaint) }
    return page(
      visit, "key-made", "Your new key", section: "/dashboard/keys",
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

  // MARK: Revoking

  @Sendable func revokePage(_ visit: Visit) async throws -> Response {
    let id = KeyID(try visit.id())
    let reports = try await visit.asking { try await accounts.keys(of: visit.account.id) }
    guard let report = reports.first(where: { $0.key.id == id }) else {
      throw AdministrationError.unknownKey("").refusal
    }
    guard report.key.revoked == nil else { return door.redirect(to: "/dashboard/keys?done=revoked") }
    return page(
      visit, "key-revoke", "Revoke a key", section: "/dashboard/keys", values: Self.values(report))
  }

  @Sendable func revoke(_ visit: Visit) async throws -> Response {
    let id = KeyID(try visit.id())
    _ = try await visit.asking { try await accounts.revokeKey(id, of: visit.account.id) }
    return door.redirect(to: "/dashboard/keys?done=revoked")
  }
}
