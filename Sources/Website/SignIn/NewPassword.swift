import Accounts
import Ledger

/// What a new password has to be.
enum NewPassword {
  /// What is wrong with one; nil if nothing is.
  ///
  /// - Parameter again: what was typed the second time.
  static func problem(about password: String, again: String) -> FormProblem? {
    let lengths = PasswordHash.lengths
    guard lengths.contains(password.utf8.count) else {
      return FormProblem(
        password.utf8.count < lengths.lowerBound
          ? "A password must have at least \(lengths.lowerBound) characters."
          : "A password must have at most \(lengths.upperBound) bytes.")
    }
    guard password.utf8.elementsEqual(again.utf8) else { return FormProblem("The two passwords differ.") }
    return nil
  }
}
