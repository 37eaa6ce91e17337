import ArgumentParser
import Foundation
import Ledger
import SQLiteStore

/// Where the data is: the options every command has.
struct StorageOptions: ParsableArguments {
  @Option(
    name: .customLong("data"),
    help: ArgumentHelp(
      "The folder for the database and the master key.",
      discussion: "Default: $XDG_DATA_HOME/fairdraw, or ~/.local/share/fairdraw.", valueName: "folder"))
  var dataFolder: String?

  @Option(
    help: ArgumentHelp(
      "The database, as sqlite:PATH.", discussion: "Default: fairdraw.db in the data folder.", valueName: "url"))
  var database: String?

  @Option(
    help: ArgumentHelp(
      "The file with the master key, which seals every server seed.",
      discussion:
        "Default: master.key beside the database, made on first use. Back it up: without it the database is of no use.",
      valueName: "path"))
  var masterKeyFile: String?

  /// Opens the store, making folder, database and master key if they are not there.
  func open() throws -> (store: SQLiteStore, masterKey: MasterKey, place: String) {
    let path = try databasePath()
    let folder = path.deletingLastPathComponent()
    do {
      try FileManager.default.createDirectory(
        at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw CommandFailure("the folder \(folder.path) cannot be made: \(error.localizedDescription)")
    }
    let keyFile = Settings.text("master-key-file", masterKeyFile).map { URL(fileURLWithPath: $0) }
    let masterKey = try MasterKeyFile.read(
      keyFile ?? folder.appendingPathComponent("master.key"), makingIfMissing: keyFile == nil, besideDatabase: path)
    do {
      return (try SQLiteStore(path: path.path, masterKey: masterKey), masterKey, "sqlite:\(path.path)")
    } catch let error as WrongMasterKey {
      throw CommandFailure(error.description)
    } catch {
      throw CommandFailure("the database \(path.path) cannot be opened: \(error)")
    }
  }

  private func databasePath() throws -> URL {
    guard let url = Settings.text("database", database) else {
      return folder().appendingPathComponent("fairdraw.db")
    }
    guard url.hasPrefix("sqlite:"), url.utf8.count > "sqlite:".utf8.count else {
      throw ValidationError("--database (FAIRDRAW_DATABASE) must be sqlite:PATH, not \"\(url)\".")
    }
    return URL(fileURLWithPath: String(url.dropFirst("sqlite:".count)))
  }

  private func folder() -> URL {
    if let folder = Settings.text("data", dataFolder) { return URL(fileURLWithPath: folder, isDirectory: true) }
    let environment = ProcessInfo.processInfo.environment
    func absolute(_ variable: String) -> URL? {
      environment[variable].flatMap { $0.hasPrefix("/") ? URL(fileURLWithPath: $0, isDirectory: true) : nil }
    }
    let base =
      absolute("XDG_DATA_HOME")
      ?? (absolute("HOME") ?? FileManager.default.homeDirectoryForCurrentUser)
      .appendingPathComponent(".local/share", isDirectory: true)
    return base.appendingPathComponent("fairdraw", isDirectory: true)
  }
}

/// The master key on disk: 64 hexadecimal characters and a line feed, readable by its owner alone.
enum MasterKeyFile {
  /// - Parameter makingIfMissing: whether a new key may be made; never for a file somebody named, since a missing one is
  ///   then a mistake, and never beside a database that exists, since a new key would not open it.
  static func read(_ file: URL, makingIfMissing: Bool, besideDatabase database: URL) throws -> MasterKey {
    if !FileManager.default.fileExists(atPath: file.path) {
      guard makingIfMissing else { throw CommandFailure("there is no master key file at \(file.path)") }
      guard !FileManager.default.fileExists(atPath: database.path) else {
        throw CommandFailure(
          "the database \(database.path) is there but its master key \(file.path) is not: put the key file back")
      }
      try make(file)
    }
    let text: String
    do {
      text = try String(contentsOf: file, encoding: .utf8)
    } catch {
      throw CommandFailure("the master key file \(file.path) cannot be read: \(error.localizedDescription)")
    }
    let digits = text.filter { !$0.isWhitespace }
    guard digits.utf8.count == 2 * MasterKey.size, let bytes = bytes(ofHex: digits) else {
      throw CommandFailure("the master key file \(file.path) must hold 64 hexadecimal characters and nothing else")
    }
    return try MasterKey(bytes: bytes)
  }

  /// Two processes may start at once; the one that creates the file decides, and the other reads it.
  private static func make(_ file: URL) throws {
    var random = SystemRandomNumberGenerator()
    let text =
      (0..<MasterKey.size).map { _ in
        let byte = String(UInt8.random(in: 0...255, using: &random), radix: 16)
        return byte.count == 1 ? "0" + byte : byte
      }.joined() + "\n"
    // Written aside and linked into place, so that nobody ever reads half a key.
    let draft = file.path + ".\(ProcessInfo.processInfo.processIdentifier)"
    defer { unlink(draft) }
    let descriptor = Foundation.open(draft, O_WRONLY | O_CREAT | O_EXCL, 0o600)
    guard descriptor >= 0 else {
      throw CommandFailure("the master key file \(file.path) cannot be made: \(lastError())")
    }
    defer { close(descriptor) }
    guard write(descriptor, text, text.utf8.count) == text.utf8.count, fsync(descriptor) == 0 else {
      throw CommandFailure("the master key file \(file.path) cannot be written: \(lastError())")
    }
    guard link(draft, file.path) == 0 || errno == EEXIST else {
      throw CommandFailure("the master key file \(file.path) cannot be made: \(lastError())")
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

/// A command that could not do what it was asked: one sentence on standard error, exit status 1.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
