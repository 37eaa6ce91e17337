import API
import Foundation
import Ledger
import Synchronization

/// Writing for a person at a terminal.
enum Terminal {
  /// Standard error as a place to print to. It has no state, so anyone may use it at any time. What cannot be written
  /// there is lost: there is nowhere to say so.
  struct StandardError: TextOutputStream {
    mutating func write(_ text: String) { _ = Descriptor.write(text.utf8, to: STDERR_FILENO) }
  }

  static var error: StandardError {
    get { StandardError() }
    set {}
  }

  /// Asks for a line on the terminal that standard input is, and does not show what is typed.
  static func secret(_ prompt: String) throws -> String {
    var settings = termios()
    guard tcgetattr(STDIN_FILENO, &settings) == 0 else { throw CommandFailure("the terminal cannot be read from") }
    let before = settings
    settings.c_lflag &= ~tcflag_t(ECHO)
    // Whoever gives up with ^C must find the terminal as it was.
    let interrupt = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
    interrupt.setEventHandler {
      var before = before
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
      print(to: &Terminal.error)
      exit(130)
    }
    signal(SIGINT, SIG_IGN)
    interrupt.activate()
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
    defer {
      var before = before
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
      interrupt.cancel()
      signal(SIGINT, SIG_DFL)
      print(to: &Terminal.error)
    }
    print(prompt, terminator: "", to: &Terminal.error)
    guard let line = readLine() else { throw CommandFailure("nothing was typed") }
    return line
  }

  /// How many columns standard output's terminal has; nil if it is none.
  static var width: Int? {
    var size = winsize()
    guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
      return nil
    }
    return Int(size.ws_col)
  }

  /// Whether standard output may be coloured: it is a terminal that can, and nobody asked for plain text
  /// (https://no-color.org).
  static var hasColours: Bool {
    let environment = ProcessInfo.processInfo.environment
    return isatty(STDOUT_FILENO) == 1 && environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
  }

  /// `2026-11-21 20:06 UTC`
  static func time(_ moment: Milliseconds) -> String {
    let text = moment.iso8601
    return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5)) UTC"
  }

  /// Text from elsewhere, made safe to print: characters that a terminal would obey, or that would show the text in
  /// another order, are written as their code points.
  static func printable(_ text: String) -> String {
    var shown = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        shown.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
      default: shown.append(scalar)
      }
    }
    return String(shown)
  }

  /// A word as a shell reads it.
  static func quoted(_ word: String) -> String {
    word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
      ? word : "'" + word.replacing("'", with: "'\\''") + "'"
  }
}

/// How far something has come, on one line of standard error that is written over; only if that is a terminal.
final class ProgressBar: Sendable {
  private let total: Int
  private let isShown = isatty(STDERR_FILENO) == 1
  private let last = Mutex("")

  init(total: Int) { self.total = total }

  /// - Parameter what: what is being done, in a few words.
  func show(_ count: Int, _ what: String = "") {
    guard isShown, total > 0 else { return }
    let percent = min(count * 100 / total, 100)
    let bar = String(repeating: "#", count: percent / 2).padding(toLength: 50, withPad: " ", startingAt: 0)
    let line = "\r[\(bar)] \(percent) %  \(what)\u{1B}[K"
    let isNew = last.withLock { last in
      defer { last = line }
      return line != last
    }
    if isNew { print(line, terminator: "", to: &Terminal.error) }
  }

  func clear() {
    if isShown { print("\r\u{1B}[K", terminator: "", to: &Terminal.error) }
  }
}
