import API
import Accounts
import Fairness
import Foundation
import HTTPTypes
import Hummingbird
import Ledger

/// `/sign-in`, `/sign-out` and, if the operator opens it, `/sign-up`.
struct SignInPages: Routes {
  let layout: Layout
  let sessionGuard: SessionGuard
  let isSignUpOpen: Bool

  var routes: [Route] {
    [
      Route("/sign-in", .get, .post, readsKey: false) { request, context in
        request.method == .post ? try await signIn(request, context) : try await signInPage(request, context)
      },
      Route("/sign-out", .post, readsKey: false, handler: signOut),
    ]
      + (isSignUpOpen
        ? [
          Route("/sign-up", .get, .post, readsKey: false) { request, context in
            request.method == .post ? try await signUp(request, context) : try await signUpPage(request, context)
          }
        ] : [])
  }

  // MARK: Signing in

  /// What is said of an address that is not known and of a password that is wrong: the same.
  private static let wrong = FormProblem("The email address or the password is wrong.")

  private func signInPage(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let query = try FormFields(context.target.query)
    let next = NextPage.checked(query["next"])
    if try await sessionGuard.visitor(request, context) != nil { return sessionGuard.redirect(to: next) }
    return try form("sign-in", "Sign in", request, values: ["next": next, "isDeleted": query["done"] == "deleted"])
  }

  private func signIn(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let fields = try await FormFields(request)
    try sessionGuard.formGuard.check(
      request, context, token: sessionGuard.cookies.token(.form, in: request.headers), sent: fields.text("token"))
    let next = NextPage.checked(fields["next"])
    func again(_ problem: FormProblem) throws -> Response {
      try form("sign-in", "Sign in", request, values: ["next": next, "email": fields.text("email")], problem)
    }
    let email = EmailAddress(fields.text("email"))
    let subjects = whoTries(email, request, context)
    if let wait = sessionGuard.throttle.begin(subjects) { return try again(.tooOften(wait)) }
    guard let email else { return try again(Self.wrong) }
    let account: AccountID
    do {
      let known = try await context.asking { try await sessionGuard.accounts.signIn(email: email) }
      let isRight = try await sessionGuard.passwords.check(
        fields.text("password"), against: known?.signIn.password ?? .nobodys)
      guard let known, isRight else { return try again(Self.wrong) }
      account = known.account
    } catch {
      sessionGuard.throttle.withdraw(subjects)
      throw error
    }
    sessionGuard.throttle.succeeded(subjects)
    return try await sessionGuard.letIn(account, email, request, context, to: next)
  }

  /// Whose attempts an attempt to sign in is counted with: everybody's for the email address and everybody's from the
  /// client's address, or, from a browser that has signed in with this email address before, its own.
  private func whoTries(
    _ email: EmailAddress?, _ request: Request, _ context: FairdrawContext
  ) -> [AttemptThrottle.Subject] {
    let address = context.clientAddress().map { AttemptThrottle.Subject.address($0.subscriber) }
    guard let email else { return [address].compactMap { $0 } }
    if let device = sessionGuard.devices.device(in: request.headers, for: email, at: Date.now.milliseconds) {
      return [.device(device)]
    }
    return [address, AttemptThrottle.Subject(email)].compactMap { $0 }
  }

  // MARK: Signing up

  private func signUpPage(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    if try await sessionGuard.visitor(request, context) != nil { return sessionGuard.redirect(to: "/dashboard") }
    return try form("sign-up", "Create an account", request, values: [:])
  }

  private func signUp(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let fields = try await FormFields(request)
    try sessionGuard.formGuard.check(
      request, context, token: sessionGuard.cookies.token(.form, in: request.headers), sent: fields.text("token"))
    let name = fields.trimmed("name")
    func again(_ problem: FormProblem) throws -> Response {
      try form(
        "sign-up", "Create an account", request, values: ["name": name, "email": fields.text("email")], problem)
    }
    guard AccountName.isValid(name) else { return try again(FormProblem("A name is one line of 1 to 100 characters.")) }
    guard let email = EmailAddress(fields.text("email")) else {
      return try again(FormProblem("This is not an email address."))
    }
    if let problem = NewPassword.problem(about: fields.text("password"), again: fields.text("again")) {
      return try again(problem)
    }
    let subjects = context.clientAddress().map { [AttemptThrottle.Subject.newAccounts($0.subscriber)] } ?? []
    if let wait = sessionGuard.throttle.begin(subjects) { return try again(.tooOften(wait)) }
    let account: Account
    do {
      let signIn = SignIn(email: email, password: try await sessionGuard.passwords.hash(of: fields.text("password")))
      account = try await context.asking {
        try await sessionGuard.accounts.createAccount(name: name, dailyQuota: nil, signIn: signIn)
      }
    } catch let error as AdministrationError {
      return try again(error.problem)
    } catch {
      sessionGuard.throttle.withdraw(subjects)
      throw error
    }
    return try await sessionGuard.letIn(account.id, email, request, context, to: "/dashboard")
  }

  // MARK: Signing out

  @Sendable private func signOut(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let fields = try await FormFields(request)
    let token = sessionGuard.cookies.token(.session, in: request.headers)
    guard let token, try await sessionGuard.visitor(request, context) != nil else {
      return sessionGuard.redirect(to: "/sign-in")
    }
    try sessionGuard.formGuard.check(request, context, token: token, sent: fields.text("token"))
    try await context.asking { try await sessionGuard.accounts.endSession(token.digest) }
    return sessionGuard.redirect(to: "/", cookies: [sessionGuard.cookies.clearing(.session)])
  }

  // MARK: Forms

  /// One of the two forms, for a browser that has a token for it or is given one.
  private func form(
    _ template: String, _ title: String, _ request: Request, values: [String: Any], _ problem: FormProblem? = nil
  ) throws -> Response {
    let token = try sessionGuard.cookies.token(.form, in: request.headers) ?? SessionToken()
    var values = values
    values["token"] = token.formToken
    values["isSignUpOpen"] = isSignUpOpen
    values["shortest"] = PasswordHash.lengths.lowerBound
    if let problem { values["problem"] = ["sentence": problem.sentence] }
    let html = layout.html(
      .init(
        title: "\(title) – Fairdraw", description: "For account holders: keys, usage, outcomes and webhooks.",
        body: layout.templates.render(template, values), script: "dashboard.js", style: "dashboard.css",
        section: "/dashboard"))
    return PageResponses.personal(
      html, problem,
      cookies: [sessionGuard.cookies.setting(.form, to: token)])
  }
}
