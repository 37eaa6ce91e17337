import API
import Accounts
import Foundation
import Hummingbird
import Ledger

/// A request of somebody who is signed in.
struct DashboardRequest: Sendable {
  let request: Request
  let context: FairdrawContext
  let account: Account
  let session: Session
  let token: SessionToken
  /// Of the address.
  let query: FormFields
  /// Of the form that was sent; without any for a GET.
  let form: FormFields

  let now = Date.now.milliseconds

  /// The number that stands for `{id}` in the route's path.
  ///
  /// - Throws: a 404 where there is no number.
  func id() throws(Refusal) -> Int64 {
    guard let id = context.captures["id"].flatMap(DashboardRequest.number) else {
      throw Refusal.nothingHere
    }
    return id
  }

  /// A number as this site writes them: decimal digits, few enough of them.
  static func number(_ text: some StringProtocol) -> Int64? {
    guard (1...18).contains(text.utf8.count),
      text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    else { return nil }
    return Int64(text)
  }

  /// Asks the store; what it turns down becomes a page of its own.
  func asking<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
      return try await context.asking(body)
    } catch let error as AdministrationError {
      throw error.refusal
    }
  }

  /// Asks the store for what a form wants done.
  ///
  /// - Returns: what stands in its way, for the form to say; nil if it was done.
  func attempting(_ body: () async throws -> Void) async throws -> FormProblem? {
    do {
      try await context.asking(body)
      return nil
    } catch let error as AdministrationError where error.problem.status != 404 {
      return error.problem
    } catch let error as AdministrationError {
      throw error.refusal
    }
  }
}
