import ArgumentParser
import Foundation
import Ledger
import PostgresStore
import SQLiteStore

/// All that a database does.
typealias Store = LedgerStore & AccountStore & DeliveryStore & TransparencyStore

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
      "The database, as sqlite:PATH or postgres://USER@HOST/NAME.",
      discussion: "Default: fairdraw.db in the data folder.", valueName: "url"))
  var database: String?

  @Option(
    help: ArgumentHelp(
      "The file with the master key, which seals every server seed.",
      discussion:
        "Default: master.key beside the database or, with PostgreSQL, in the data folder; made on first use. Back it up: "
        + "without it the database is of no use.",
      valueName: "path"))
  var masterKeyFile: String?

  /// Opens the store, making folder, database and master key if they are not there.
  func open() throws -> (
    store: any Store, masterKey: MasterKey, place: String
  ) {
    switch try databaseSetting() {
    case .sqlite(let path): try openSQLite(path)
    case .postgres(let target): try openPostgres(target)
    }
  }

  private func openSQLite(_ path: URL) throws -> (
    store: any Store, masterKey: MasterKey, place: String
  ) {
    let masterKey = try self.masterKey(in: path.deletingLastPathComponent()) { keyFile in
      // A new key would not open a database that exists.
      guard FileManager.default.fileExists(atPath: path.path) else { return }
      throw CommandFailure(
        "the database \(path.path) is there but its master key \(keyFile.path) is not: put the key file back")
    }.key
    do {
      return (try SQLiteStore(path: path.path, masterKey: masterKey), masterKey, "sqlite:\(path.path)")
    } catch let error as WrongMasterKey {
      throw CommandFailure(error.description)
    } catch {
      throw CommandFailure("the database \(path.path) cannot be opened: \(error)")
    }
  }

  private func openPostgres(
    _ target: ConnectionTarget
  ) throws -> (store: any Store, masterKey: MasterKey, place: String) {
    let place = target.place
    let (masterKey, keyFile) = try self.masterKey(in: folder()) { keyFile in
      do {
        guard try PostgresStore.masterKeyFingerprint(of: target) != nil else { return }
      } catch {
        throw CommandFailure("the database \(place) cannot be opened: \(error)")
      }
      throw CommandFailure(
        "the database \(place) has a master key already, and there is none at \(keyFile.path): copy it there from a "
          + "server that uses the database")
    }
    do {
      return (try PostgresStore(target, masterKey: masterKey), masterKey, place)
    } catch is MasterKeyMismatch {
      throw CommandFailure(
        "the database \(place) belongs to another master key than the one in \(keyFile.path): put there a copy of the "
          + "key file of a server that uses the database")
    } catch {
      throw CommandFailure("the database \(place) cannot be opened: \(error)")
    }
  }

  /// The master key: the one in the file that was named, else in `folder`.
  ///
  /// - Parameter mayMake: throws if a new key must not be made; asked when there is none.
  private func masterKey(
    in folder: URL, mayMake: (_ keyFile: URL) throws -> Void
  ) throws -> (key: MasterKey, file: URL) {
    do {
      try FileManager.default.createDirectory(
        at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw CommandFailure("the folder \(folder.path) cannot be made: \(error.localizedDescription)")
    }
    if let named = Settings.text("master-key-file", masterKeyFile).map({ URL(fileURLWithPath: $0) }) {
      return (try MasterKeyFile.read(named), named)
    }
    let file = folder.appendingPathComponent("master.key")
    if !FileManager.default.fileExists(atPath: file.path) {
      try mayMake(file)
      try MasterKeyFile.make(file)
    }
    return (try MasterKeyFile.read(file), file)
  }

  private enum Database {
    case sqlite(URL)
    case postgres(ConnectionTarget)
  }

  private func databaseSetting() throws -> Database {
    guard let url = Settings.text("database", database) else {
      return .sqlite(folder().appendingPathComponent("fairdraw.db"))
    }
    if ConnectionTarget.isTarget(url) {
      do {
        return .postgres(try ConnectionTarget(url: url))
      } catch {
        throw ValidationError("--database (FAIRDRAW_DATABASE): \(error).")
      }
    }
    guard url.hasPrefix("sqlite:"), url.utf8.count > "sqlite:".utf8.count else {
      // The value is not repeated: it may hold a password.
      throw ValidationError("--database (FAIRDRAW_DATABASE) must be sqlite:PATH or postgres://….")
    }
    return .sqlite(URL(fileURLWithPath: String(url.dropFirst("sqlite:".count))))
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
  static func read(_ file: URL) throws -> MasterKey {
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw CommandFailure("there is no master key file at \(file.path)")
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
  static func make(_ file: URL) throws {
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
