import Foundation
import GRDB

extension Database.BusyMode {
  /// Waits up to ten seconds for the file's lock, and looks for it every millisecond.
  ///
  /// A server that is busy leaves the lock free for a fraction of a millisecond between two groups. SQLite's own way
  /// looks only ten times a second after a while, so that a command beside such a server can miss every one of these
  /// moments until its time is over.
  static let patient = Database.BusyMode.callback { looks in
    usleep(1000)
    return looks < 10_000
  }
}
