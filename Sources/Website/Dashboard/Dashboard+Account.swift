import API
import Accounts
import Fairness
import HTTPTypes
import Hummingbird
import Ledger
import NIOCore

extension Dashboard {
  private static let section = "/dashboard/account"
  private static let sessionsShown = 10

  @Sendable func account(_ incoming: DashboardRequest) async throws -> Response { try await accountPage(incoming, nil) }

  private func accountPage(_ incoming: DashboardRequest, _ problem: FormProblem?) async throws -> Response {
    let (signIn, sessions) = try await incoming.asking {
      (
        try await accounts.signIn(of: incoming.account.id),
        try await accounts.sessions(of: incoming.account.id, at: incoming.now, limit: Self.sessionsShown + 2)
      )
    }
    let others = sessions.filter { $0.digest != incoming.session.digest }
    return page(
      incoming, "account", "Account", section: Self.section,
      values: [
        "name": HTML.shown(incoming.account.name), "email": HTML.shown(signIn?.email.description ?? ""),
        "plainEmail": signIn?.email.description ?? "", "created": moment(incoming.account.created),
        "quota": grouped(incoming.account.dailyQuota ?? parts.dailyQuota),
        "shortest": PasswordHash.lengths.lowerBound, "since": moment(incoming.session.created),
        "hasOthers": !others.isEmpty, "hasMore": others.count > Self.sessionsShown,
        "others": others.prefix(Self.sessionsShown).map {
          ["created": moment($0.created), "expires": moment($0.expires)]
        },
      ], problem: problem)
  }

  // MARK: The password

  @Sendable func changePassword(_ incoming: DashboardRequest) async throws -> Response {
    let form = incoming.form
    if let problem = NewPassword.problem(about: form.text("new"), again: form.text("again")) {
      return try await accountPage(incoming, problem)
    }
    if let problem = try await sessionGuard.challenge(
      incoming.account.id, password: form.text("current"), incoming.context)
    {
      return try await accountPage(incoming, problem)
    }
    let password = try await sessionGuard.passwords.hash(of: form.text("new"))
    guard let before = try await incoming.asking({ try await accounts.signIn(of: incoming.account.id) }) else {
      throw AdministrationError.unknownAccount("").refusal
    }
    try await incoming.asking {
      try await accounts.setSignIn(
        SignIn(email: before.email, password: password), of: incoming.account.id, keeping: incoming.session.digest)
    }
    return sessionGuard.redirect(to: "\(Self.section)?done=password")
  }

  // MARK: Other sessions

  @Sendable func endOtherSessions(_ incoming: DashboardRequest) async throws -> Response {
    try await incoming.asking {
      try await accounts.endSessions(of: incoming.account.id, keeping: incoming.session.digest)
    }
    return sessionGuard.redirect(to: "\(Self.section)?done=signed-out")
  }

  // MARK: Deleting

  @Sendable func deleteAccountPage(_ incoming: DashboardRequest) async throws -> Response { deletePage(incoming, nil) }

  private func deletePage(_ incoming: DashboardRequest, _ problem: FormProblem?) -> Response {
    page(
      incoming, "account-delete", "Delete your account", section: Self.section,
      values: ["name": HTML.shown(incoming.account.name), "typed": incoming.form.text("name")], problem: problem)
  }

  @Sendable func deleteAccount(_ incoming: DashboardRequest) async throws -> Response {
    guard incoming.form.trimmed("name").utf8.elementsEqual(incoming.account.name.utf8) else {
      return deletePage(incoming, FormProblem("This is not the exact name of the account."))
    }
    if let problem = try await sessionGuard.challenge(
      incoming.account.id, password: incoming.form.text("password"), incoming.context)
    {
      return deletePage(incoming, problem)
    }
    try await incoming.asking { try await accounts.deleteAccount(incoming.account.id) }
    return sessionGuard.redirect(to: "/sign-in?done=deleted", cookies: [sessionGuard.cookies.clearing(.session)])
  }

  // MARK: Taking everything along

  @Sendable func export(_ incoming: DashboardRequest) async throws -> Response {
    guard let format = AccountExport.Format(rawValue: incoming.query.text("format")) else {
      throw Refusal.badRequest("format must be json or csv")
    }
    let account = incoming.account.id
    let export = AccountExport(store: accounts, renderer: renderer) {
      try await incoming.context.reserveMemory(for: .account(account), isUnderWay: true)
    }
    return PageResponses.download(
      as: "fairdraw-\(Day(of: incoming.now)).\(format.rawValue)",
      Response.stream(format.contentType, incoming.context) { writer in
        // Unsafe in name only: the export calls its sink from this task, and waits for each call to return.
        nonisolated(unsafe) var out = writer
        defer { writer = out }
        // As fast as the browser takes it; a page of outcomes at a time is all that is held.
        try await export.write(format, of: account) { try await out.write(inPieces: ByteBuffer(bytes: $0)) }
      })
  }
}
