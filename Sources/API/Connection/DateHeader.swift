import Foundation
import Synchronization

/// The time as HTTP writes it (RFC 9110, section 5.6.7), made once a second.
final class DateHeader: Sendable {
  static let shared = DateHeader()

  private let second = Mutex((number: time_t(0), text: ""))

  var text: String {
    let now = time(nil)
    return second.withLock { second in
      if second.number != now { second = (now, Self.text(of: now)) }
      return second.text
    }
  }

  private static func text(of second: time_t) -> String {
    var second = second
    var parts = tm()
    gmtime_r(&second, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let date = "\(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(1900 + parts.tm_year)"
    return "\(days[Int(parts.tm_wday)]), \(date) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
  }
}
