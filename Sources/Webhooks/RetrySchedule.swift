import Ledger

/// When a failed delivery is tried again: after 5 seconds, then twice as long each time up to 3 hours, for 72 hours.
/// A receiver that asks for a longer pause gets it.
///
/// Each pause is drawn from between three quarters and five quarters of its length, so that deliveries that failed
/// together do not come back together.
package struct RetrySchedule: Sendable {
  package static let firstPause: Milliseconds = 5_000
  package static let longestPause: Milliseconds = 3 * 3_600_000
  package static let total: Milliseconds = 72 * 3_600_000

  /// When to try again; nil if the delivery is to be given up.
  ///
  /// - Parameters:
  ///   - attempts: how many have failed, this one included; 1 or more.
  ///   - since: when the delivery was made, or sent again.
  ///   - asked: the pause that the receiver asked for; one that is too long ends with the time for all attempts.
  package static func next(
    after attempts: Int, since: Milliseconds, now: Milliseconds, asked: Milliseconds? = nil,
    using random: inout some RandomNumberGenerator
  ) -> Milliseconds? {
    precondition(attempts >= 1)
    let pause = min(longestPause, firstPause << min(attempts - 1, 20))
    let next = now + Milliseconds.random(in: (pause * 3 / 4)...(pause * 5 / 4), using: &random)
    guard next - since <= total else { return nil }
    return max(next, min(now + (asked ?? 0), since + total))
  }
}
