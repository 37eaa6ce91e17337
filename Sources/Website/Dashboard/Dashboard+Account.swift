import API
import Fairness
import HTTPTypes
import Hummingbird
import Ledger
import NIOCore

extension Dashboard {
  private static let section = "/dashboard/account"

  @Sendable func account(_ visit: Visit) async throws -> Response { try await accountPage(visit, nil) }

  private func accountPage(_ visit: Visit, _ complaint: Complaint?) async throws -> Response {
    let signIn = try await visit.asking { try await accounts.signIn(of: visit.account.id) }
    return page(
      visit, "account", "Account", section: Self.section,
      values: [
        "name": HTML.shown(visit.account.name), "email": HTML.shown(signIn?.email.description ?? ""),
        "plainEmail": signIn?.email.description ?? "", "created": moment(visit.account.created),
        "quota": grouped(visit.account.dailyQuota ?? parts.dailyQuota),
        "shortest": PasswordHash.lengths.lowerBound,
      ], complaint: complaint)
  }

  // MARK: The password

  @Sendable func changePassword(_ visit: Visit) async throws -> Response {
    let form = visit.form
    if let complaint = NewPassword.complaint(about: form.text("new"), again: form.text("again")) {
      return try await accountPage(visit, complaint)
    }
    if let complaint = try await door.challenge(visit.account.id, password: form.text("current"), visit.context) {
      return try await accountPage(visit, complaint)
    }
    let password = try await door.passwords.hash(of: form.text("new"))
    guard let before = try await visit.asking({ try await accounts.signIn(of: visit.account.id) }) else {
      throw AdministrationError.unknownAccount("").refusal
    }
    try await visit.asking {
      try await accounts.setSignIn(
        SignIn(email: before.email, password: password), of: visit.account.id, keeping: visit.session.digest)
    }
    return door.redirect(to: "\(Self.section)?done=password")
  }

  // MARK: Deleting

  @Sendable func deleteAccountPage(_ visit: Visit) async throws -> Response { deletePage(visit, nil) }

  private func deletePage(_ visit: Visit, _ complaint: Complaint?) -> Response {
    page(
      visit, "account-delete", "Delete your account", section: Self.section,
      values: ["name": HTML.shown(visit.account.name), "typed": visit.form.text("name")], complaint: complaint)
  }

  @Sendable func deleteAccount(_ visit: Visit) async throws -> Response {
    guard visit.form.trimmed("name").utf8.elementsEqual(visit.account.name.utf8) else {
      return deletePage(visit, Complaint("This is not the account's name, letter for letter."))
    }
    if let complaint = try await door.challenge(
      visit.account.id, password: visit.form.text("password"), visit.context)
    {
      return deletePage(visit, complaint)
    }
    try await visit.asking { try await accounts.deleteAccount(visit.account.id) }
    return door.redirect(to: "/sign-in?done=deleted", cookies: [door.cookies.clearing(.session)])
  }

  // MARK: Taking everything along

  @Sendable func export(_ visit: Visit) async throws -> Response {
    guard let format = AccountExport.Format(rawValue: visit.query.text("format")) else {
      throw Refusal.badRequest("format must be json or csv")
    }
    let account = visit.account.id
    let export = AccountExport(store: accounts, renderer: renderer) {
      try await visit.context.reserveMemory(for: .account(account), isUnderWay: true)
    }
    return PageResponses.download(
      as: "fairdraw-\(Day(of: visit.now)).\(format.rawValue)",
      Response.stream(format.contentType, visit.context) { writer in
        // Unsafe in name only: the export calls its sink from this task, and waits for each call to return.
        nonisolated(unsafe) var out = writer
        defer { writer = out }
        // As fast as the browser takes it; a page of outcomes at a time is all that is held.
        try await export.write(format, of: account) { try await out.write(inPieces: ByteBuffer(bytes: $0)) }
      })
  }
}
