import Ledger

/// A day or a minute, UTC, as the fields of forms write them.
package enum TimeSpan {
  /// - Parameter text: such as `2026-11-21` or `2026-11-21T09:30`.
  /// - Returns: its first and last millisecond; nil if this is neither.
  package static func range(_ text: String) -> ClosedRange<Milliseconds>? {
    let parts = text.split(separator: "T", omittingEmptySubsequences: false)
    guard let day = Day(String(parts[0])) else { return nil }
    guard parts.count > 1 else { return day.start...day.end - 1 }
    let time = parts[1].split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, time.count == 2, time.allSatisfy({ $0.utf8.count == 2 }),
      let hour = DashboardRequest.number(time[0]), hour < 24, let minute = DashboardRequest.number(time[1]), minute < 60
    else { return nil }
    let start = day.start + (hour * 60 + minute) * 60_000
    return start...start + 59_999
  }
}
