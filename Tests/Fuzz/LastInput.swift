import Foundation

/// The input that is being checked, where a signal handler finds it: a trap ends the process before anybody could print it.
enum LastInput {
  private static let room = 1 << 20
  // Written by the one thread there is, and read by it, in the handler of a signal that it caused itself.
  nonisolated(unsafe) private static let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: room)
  nonisolated(unsafe) private static let name = UnsafeMutablePointer<UInt8>.allocate(capacity: 64)
  nonisolated(unsafe) private static var count = 0
  nonisolated(unsafe) private static var nameCount = 0

  /// How long an input may take, in seconds.
  private static let timeout: UInt32 = 20

  static func note(_ input: [UInt8], of subject: String) {
    count = min(input.count, room)
    for index in 0..<count { bytes[index] = input[index] }
    nameCount = 0
    for byte in subject.utf8.prefix(64) {
      name[nameCount] = byte
      nameCount += 1
    }
    alarm(timeout)
  }

  static func catchSignals() {
    for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGALRM] { signal(number, report) }
  }

  /// Uses nothing that may not be used in a signal's handler.
  private static let report: @convention(c) (Int32) -> Void = { number in
    func say(_ text: StaticString) { _ = write(STDOUT_FILENO, text.utf8Start, text.utf8CodeUnitCount) }
    _ = write(STDOUT_FILENO, LastInput.name, LastInput.nameCount)
    say(number == SIGALRM ? ": takes too long\ninput: " : ": crashed\ninput: ")
    let digits: StaticString = "0123456789abcdef"
    for index in 0..<LastInput.count {
      _ = write(STDOUT_FILENO, digits.utf8Start + Int(LastInput.bytes[index] >> 4), 1)
      _ = write(STDOUT_FILENO, digits.utf8Start + Int(LastInput.bytes[index] & 15), 1)
    }
    say("\n")
    _exit(1)
  }
}
