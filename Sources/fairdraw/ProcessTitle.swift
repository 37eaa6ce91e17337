import Foundation
import PostgresStore

/// The command line as `ps` shows it to everyone on the machine.
enum ProcessTitle {
  /// Writes `x`s over API keys and the passwords of database URLs that were given as arguments. For a moment they could
  /// be seen: the environment, or libpq's password file, is the better place.
  static func hidePasswords() {
    #if os(Linux)
      // Swift has its own copy from here on.
      guard CommandLine.arguments.contains(where: { secret(in: $0) != nil }) else { return }
      // proc(5): the 48th and 49th fields are where the arguments lie in memory, each ended by a zero. The second field
      // may have anything in it, but ends at the last parenthesis.
      guard let stat = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
        let name = stat.lastIndex(of: ")")
      else { return }
      let fields = stat[name...].split(separator: " ")
      guard fields.count > 47, let start = UInt(fields[46]), let end = UInt(fields[47]), start < end,
        let memory = UnsafeMutablePointer<UInt8>(bitPattern: start)
      else { return }
      let area = UnsafeMutableBufferPointer(start: memory, count: Int(end - start))
      var argument = area.startIndex
      while argument < area.endIndex {
        let length = area[argument...].prefix { $0 != 0 }.count
        let text = String(decoding: area[argument..<(argument + length)], as: UTF8.self)
        if let secret = secret(in: text), text.utf8.count == length {
          for byte in secret { area[argument + byte] = UInt8(ascii: "x") }
        }
        argument += length + 1
      }
    #endif
  }

  /// Which of an argument's bytes are an API key, after at most the part that lists show of it, or a password.
  private static func secret(in argument: String) -> [Int]? {
    if let key = argument.firstRange(of: /pk_(live|test)_/) {
      let start = argument.utf8.distance(from: argument.startIndex, to: key.upperBound)
      return Array((start + 8)..<max(start + 8, argument.utf8.count))
    }
    return ConnectionTarget.secret(in: argument)
  }
}
