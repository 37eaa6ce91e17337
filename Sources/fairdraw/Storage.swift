import Accounts
import ArgumentParser
import Foundation
import Ledger
import PostgresStore
import SQLiteStore

/// All that a database does.
typealias Store = LedgerStore & AccountStore & WebhookStore & EraStore & DeliveryStore & TransparencyStore & LogStore
  & AuditStore

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
      "The file with the master key, from which every server seed is derived.",
      discussion:
        "Default: master.key beside the database or, with PostgreSQL, in the data folder; created on first use. Back it "
        + "up: without it the database is useless.",
      valueName: "path"))
  var masterKeyFile: String?

  /// Opens the store, making folder, database and master key if they are not there.
  ///
  /// Of processes that do so first at the same time, one makes what has to be made and the others find it.
  ///
  /// - Parameter warn: told of what every user of the machine may read.
  func open(warn: (String) -> Void = { _ in }) throws -> (
    store: any Store, masterKey: MasterKey, place: String
  ) {
    let database = try databaseSetting()
    let folder = try fileFolder()
    try Self.make(folder)
    try Self.becomeOwner(of: folder)
    return try FolderLock.holding(folder) {
      switch database {
      case .sqlite(let path):
        let opened = try openSQLite(path, in: folder, warn)
        Exposure.warn(of: folder, "the data folder", advice: "chmod 700", warn)
        return opened
      case .postgres(let target): return try openPostgres(target, in: folder, warn)
      }
    }
  }

  /// Makes a folder that is its owner's alone, unless it is there.
  static func make(_ folder: URL) throws {
    do {
      try FileManager.default.createDirectory(
        at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw CommandFailure("the folder \(folder.path) cannot be created: \(error.localizedDescription)")
    }
  }

  /// What root does with another user's data, it does as that user: a file of root's would stop the server.
  private static func becomeOwner(of folder: URL) throws {
    var status = stat()
    guard geteuid() == 0, stat(folder.path, &status) == 0, status.st_uid != 0 else { return }
    guard let user = getpwuid(status.st_uid), initgroups(user.pointee.pw_name, status.st_gid) == 0,
      setgid(status.st_gid) == 0, setuid(status.st_uid) == 0
    else {
      throw CommandFailure("\(folder.path) belongs to user \(status.st_uid): run the command as that user")
    }
  }

  private func openSQLite(_ path: URL, in folder: URL, _ warn: (String) -> Void) throws -> (
    store: any Store, masterKey: MasterKey, place: String
  ) {
    try refuseToBeginAnew(path, in: folder)
    let masterKey = try self.masterKey(in: folder, warn) { keyFile in
      // A new key would not open a database that exists.
      guard FileManager.default.fileExists(atPath: path.path) else { return }
      throw CommandFailure(
        "the database \(path.path) exists, but its master key \(keyFile.path) does not: put the key file back")
    }.key
    do {
      return (try SQLiteStore(path: path.path, masterKey: masterKey), masterKey, "sqlite:\(path.path)")
    } catch let error as WrongMasterKey {
      throw CommandFailure(error.description)
    } catch {
      throw CommandFailure("the database \(path.path) cannot be opened: \(error)")
    }
  }

  /// A new ledger is not begun where one was: its database may have been moved, and its log holds draws that were answered.
  private func refuseToBeginAnew(_ path: URL, in folder: URL) throws {
    func isThere(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
    guard !isThere(path.path) else { return }
    let log = path.path + "-wal"
    guard !isThere(log) else {
      throw CommandFailure(
        "the database \(path.path) is not there, but its write-ahead log \(log) is, and holds draws that were answered: "
          + "put the database back beside it; to begin a new ledger, move \(log) away")
    }
    let key = folder.appendingPathComponent("master.key").path
    guard namedKeyFile != nil || !isThere(key) else {
      throw CommandFailure(
        "the master key \(key) is there, but its database \(path.path) is not: put the database back; to begin a new "
          + "ledger with this key, give --master-key-file \(key), and with a new one, move it away")
    }
  }

  private func openPostgres(
    _ target: ConnectionTarget, in folder: URL, _ warn: (String) -> Void
  ) throws -> (store: any Store, masterKey: MasterKey, place: String) {
    let place = target.place
    let (masterKey, keyFile) = try self.masterKey(in: folder, warn) { keyFile in
      do {
        guard try PostgresStore.masterKeyFingerprint(of: target) != nil else { return }
      } catch {
        throw CommandFailure("the database \(place) cannot be opened: \(error)")
      }
      throw CommandFailure(
        "the database \(place) already has a master key, but there is none at \(keyFile.path): copy it there from a "
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
  func masterKey(
    in folder: URL, _ warn: (String) -> Void = { _ in }, mayMake: (_ keyFile: URL) throws -> Void
  ) throws -> (key: MasterKey, file: URL) {
    let file = keyFile(in: folder)
    if namedKeyFile == nil, !FileManager.default.fileExists(atPath: file.path) {
      try mayMake(file)
      try MasterKeyFile.make(file)
    }
    let key = try MasterKeyFile.read(file)
    Exposure.warn(of: file, "the master key file", advice: "chmod 600", warn)
    return (key, file)
  }

  /// Where the master key is, or will be.
  func keyFile(in folder: URL) -> URL { namedKeyFile ?? folder.appendingPathComponent("master.key") }

  private var namedKeyFile: URL? {
    Settings.text("master-key-file", masterKeyFile).map { URL(fileURLWithPath: $0) }
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

  /// Where the files beside the database are: in its own folder, or with PostgreSQL in the data folder.
  func fileFolder() throws -> URL {
    switch try databaseSetting() {
    case .sqlite(let path): path.deletingLastPathComponent()
    case .postgres: folder()
    }
  }

  /// The file of the embedded database.
  ///
  /// - Parameter advice: what to do with PostgreSQL instead.
  func embeddedFile(advice: String) throws -> URL {
    guard let path = try fileIfEmbedded() else {
      throw CommandFailure("this command is for the embedded database; with PostgreSQL, \(advice)")
    }
    return path
  }

  /// The file of the embedded database; nil with PostgreSQL.
  func fileIfEmbedded() throws -> URL? {
    guard case .sqlite(let path) = try databaseSetting() else { return nil }
    return path
  }

  private func folder() -> URL {
    Settings.text("data", dataFolder).map { URL(fileURLWithPath: $0, isDirectory: true) } ?? Self.defaultFolder()
  }

  /// Where data is kept unless somebody says otherwise.
  static func defaultFolder() -> URL {
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

/// A command that could not do what it was asked: one sentence on standard error, and its exit status.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  let status: Int32

  init(_ description: String, status: Int32 = 1) {
    self.description = description
    self.status = status
  }
}
