import Foundation
import NIOCore

/// Files that a command is given to read.
enum InputFile {
  /// Everything in the file, or on standard input for `-`, without the byte order mark that some editors put first.
  ///
  /// - Throws: ``CommandFailure``.
  static func read(_ path: String) throws(CommandFailure) -> [UInt8] {
    let bytes: [UInt8]
    do {
      let file = path == "-" ? FileHandle.standardInput : try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      bytes = Array(try file.readToEnd() ?? Data())
    } catch {
      throw CommandFailure("\(path == "-" ? "standard input" : path) cannot be read: \(reason(for: error))")
    }
    return bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
  }

  /// The longest line that is read, in bytes.
  static let longestLine = 64 << 20

  /// Hands over the file's lines, or standard input's for `-`, one at a time, without their line breaks.
  ///
  /// - Throws: ``CommandFailure``, and what `body` throws.
  static func forEachLine(of path: String, _ body: ([UInt8]) throws -> Void) throws {
    let file: FileHandle
    do {
      file = path == "-" ? .standardInput : try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    } catch {
      throw CommandFailure("\(path) cannot be read: \(reason(for: error))")
    }
    defer { if path != "-" { try? file.close() } }
    var rest: [UInt8] = []
    var isFirst = true
    func line(_ bytes: [UInt8]) throws {
      defer { isFirst = false }
      try body(isFirst && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes)
    }
    while true {
      let piece: Data
      do { piece = try file.read(upToCount: 1 << 18) ?? Data() } catch {
        throw CommandFailure("\(path) cannot be read: \(reason(for: error))")
      }
      if piece.isEmpty { break }
      var parts = piece.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
      rest.append(contentsOf: parts.removeFirst())
      for part in parts {
        try line(rest)
        rest = Array(part)
      }
      guard rest.count <= longestLine else {
        throw CommandFailure("\(path) has a line of more than \(longestLine >> 20) MiB")
      }
    }
    if !rest.isEmpty { try line(rest) }
  }
}

/// Why something failed, in words for people: what the system says where a library wraps that in its own types.
func reason(for error: any Error) -> String {
  if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
  if error is SocketAddressError || error is SocketAddressError.UnknownHost { return "there is no such address" }
  let bridged = error as NSError
  let cause = bridged.userInfo[NSUnderlyingErrorKey] as? NSError ?? bridged
  switch cause.domain {
  case NSPOSIXErrorDomain: return String(cString: strerror(Int32(cause.code)))
  case NSURLErrorDomain: return cause.localizedDescription
  case NSCocoaErrorDomain where cause.code == CocoaError.Code.fileReadInapplicableStringEncoding.rawValue:
    return "it is not UTF-8 text"
  case NSCocoaErrorDomain: return "the system gave no reason (\(cause.code))"
  default: return (error as? any CustomStringConvertible)?.description ?? "an unexpected fault"
  }
}
