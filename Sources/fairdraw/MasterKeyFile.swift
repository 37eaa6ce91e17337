import Foundation
import Ledger

/// The master key on disk: 64 hexadecimal characters and a line feed, readable by its owner alone.
enum MasterKeyFile {
  static func read(_ file: URL) throws -> MasterKey { try MasterKey(bytes: bytes(in: file)) }

  /// The secret in the file.
  ///
  /// - Parameter what: what the file is called in messages.
  static func bytes(in file: URL, _ what: String = "master key file") throws -> [UInt8] {
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw CommandFailure("there is no \(what) at \(file.path)")
    }
    let text: String
    do {
      text = try String(contentsOf: file, encoding: .utf8)
    } catch {
      throw CommandFailure("the \(what) \(file.path) cannot be read: \(error.localizedDescription)")
    }
    let digits = text.filter { !$0.isWhitespace }
    guard digits.utf8.count == 2 * MasterKey.size, let bytes = bytes(ofHex: digits) else {
      throw CommandFailure("the \(what) \(file.path) must hold 64 hexadecimal characters and nothing else")
    }
    return bytes
  }

  /// Two processes may start at once; the one that creates the file decides, and the other reads it.
  static func make(_ file: URL, _ what: String = "master key file") throws {
    let secret: [UInt8]
    do { secret = try RandomSource.system.bytes(MasterKey.size) } catch { throw CommandFailure(error.description) }
    let text = secret.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
    // Written aside and linked into place, so that nobody ever reads half a key.
    let draft = file.path + ".\(ProcessInfo.processInfo.processIdentifier)"
    defer { unlink(draft) }
    let descriptor = Foundation.open(draft, O_WRONLY | O_CREAT | O_EXCL, 0o600)
    guard descriptor >= 0 else {
      throw CommandFailure("the \(what) \(file.path) cannot be created: \(lastError())")
    }
    defer { close(descriptor) }
    guard write(descriptor, text, text.utf8.count) == text.utf8.count, fsync(descriptor) == 0 else {
      throw CommandFailure("the \(what) \(file.path) cannot be written: \(lastError())")
    }
    guard link(draft, file.path) == 0 || errno == EEXIST else {
      throw CommandFailure("the \(what) \(file.path) cannot be created: \(lastError())")
    }
    // The name must survive a power cut as surely as the seeds that will be sealed under it.
    let folder = Foundation.open(file.deletingLastPathComponent().path, O_RDONLY)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }

  private static func lastError() -> String { String(cString: strerror(errno)) }

  private static func bytes(ofHex digits: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = Substring(digits)
    while !rest.isEmpty {
      guard rest.first?.isHexDigit == true, let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
      bytes.append(byte)
      rest = rest.dropFirst(2)
    }
    return bytes
  }
}
