import API
import Accounts
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import Ledger

/// Who has signed in, and the way in and out.
struct SessionGuard: Sendable {
  let accounts: any AccountStore
  let cookies: SiteCookies
  let formGuard: FormGuard
  let devices: DeviceCookies
  let throttle = AttemptThrottle()
  let passwords = PasswordHasher()
  private let base: String

  init(accounts: any AccountStore, site: SiteAddress, secret: SymmetricKey) {
    self.accounts = accounts
    cookies = SiteCookies(site)
    formGuard = FormGuard(site)
    devices = DeviceCookies(secret: secret, site: site)
    base = site.base
  }

  /// On to another page of this site, with a GET.
  func redirect(to address: String, cookies: [String] = []) -> Response {
    PageResponses.redirect(to: base + address, cookies: cookies)
  }

  /// Whose browser sent a request, if it is signed in.
  func visitor(
    _ request: Request, _ context: FairdrawContext
  ) async throws -> (account: Account, session: Session, token: SessionToken)? {
    guard let token = cookies.token(.session, in: request.headers) else { return nil }
    return try await context.asking {
      guard let session = try await accounts.session(token.digest, at: Date.now.milliseconds),
        let account = try await accounts.account(session.account)
      else { return nil }
      return (account, session, token)
    }
  }

  /// Lets an account's holder in, under a token that nobody had before.
  ///
  /// - Parameter email: what the holder signs in with, on this browser and perhaps again.
  /// - Returns: the way on to `address`.
  func letIn(
    _ account: AccountID, _ email: EmailAddress, _ request: Request, _ context: FairdrawContext, to address: String
  ) async throws -> Response {
    let token = try SessionToken()
    let now = Date.now.milliseconds
    try await context.asking {
      try await accounts.createSession(
        Session(digest: token.digest, account: account, created: now, expires: now + SiteCookies.sessionLifetime))
      // Whoever was signed in here before is not any more.
      if let before = cookies.token(.session, in: request.headers) { try await accounts.endSession(before.digest) }
    }
    return try redirect(
      to: address,
      cookies: [
        cookies.setting(.session, to: token), cookies.clearing(.form), devices.setting(for: email, at: now),
      ])
  }

  /// Checks the password of an account that is signed in, no faster than anyone may guess.
  ///
  /// - Returns: what is wrong, in a sentence, with the status to say it with; nil if it is the right one.
  /// - Throws: ``Refusal``, when it could not be found out.
  func challenge(
    _ account: AccountID, password: String, _ context: FairdrawContext
  ) async throws -> FormProblem? {
    let subjects = [AttemptThrottle.Subject.account(account)]
    if let wait = throttle.begin(subjects) { return .tooOften(wait) }
    do {
      let signIn = try await context.asking { try await accounts.signIn(of: account) }
      guard try await passwords.check(password, against: signIn?.password ?? .nobodys) else {
        return FormProblem("The password is wrong.")
      }
    } catch {
      throttle.withdraw(subjects)
      throw error
    }
    throttle.succeeded(subjects)
    return nil
  }
}

/// What is wrong with a form, for whoever filled it in.
struct FormProblem: Sendable {
  let sentence: String
  /// 422 for what was filled in, 409 for what stands in its way, 429 for too often.
  var status = 422
  /// Seconds.
  var retryAfter: Int?
  /// The limit that is used up.
  var policy: RateLimitPolicy?

  init(_ sentence: String, status: Int = 422) {
    self.sentence = sentence
    self.status = status
  }

  static func tooOften(_ wait: AttemptThrottle.Wait) -> FormProblem {
    let seconds = wait.seconds
    let time = seconds < 90 ? "\(seconds) second\(seconds == 1 ? "" : "s")" : "\((seconds + 59) / 60) minutes"
    var problem = FormProblem("Too many attempts. Try again in \(time).", status: 429)
    problem.retryAfter = seconds
    problem.policy = RateLimitPolicy("attempts", quota: wait.free)
    return problem
  }
}

extension FairdrawContext {
  /// Asks a store that also turns things down; when it fails, the log is told why and the reader to come back.
  func asking<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
      return try await body()
    } catch let failure as StoreFailure {
      throw refusal(for: failure)
    }
  }
}

extension Date {
  var milliseconds: Milliseconds { Milliseconds(timeIntervalSince1970 * 1000) }
}
