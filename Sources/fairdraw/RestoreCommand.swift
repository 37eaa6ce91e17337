import Accounts
import ArgumentParser
import Foundation
import Ledger
import SQLiteStore

struct RestoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Put a backup of the embedded database in place and begin a new era.",
    discussion: """
      Stop the server first. The command checks the copy, begins a new era in it, moves the present database aside, and \
      puts the copy in its place. In the new era nothing is used again that was drawn or told since the copy was made. It \
      then says what was lost, as far as the present database can be read. If it is interrupted, run it again.
      """)

  @Argument(help: ArgumentHelp("The copy, as `fairdraw backup` wrote it.", valueName: "file"))
  var file: String

  @Option(
    name: .customLong("reason"),
    help: ArgumentHelp(
      "The reason, shown by `fairdraw era list`: one line. (default: restored from FILE)", valueName: "text"))
  var givenReason: String?

  @Option(
    help: ArgumentHelp(
      "The newest state that you have, to find out what is lost. (default: the database in place)", valueName: "file"))
  var from: String?

  @OptionGroup var storage: StorageOptions

  private var copy: URL { URL(fileURLWithPath: file) }
  private var statedReason: String { givenReason ?? "restored from \(copy.lastPathComponent)" }

  func validate() throws {
    guard !statedReason.isEmpty, KeyName.isValid(statedReason) else {
      throw ValidationError("--reason must be one line of 1 to 100 characters.")
    }
  }

  func run() async throws {
    let database = try storage.embeddedFile(
      advice: "restore it with its own tools, and then run fairdraw era begin")
    let folder = database.deletingLastPathComponent()
    guard FileManager.default.fileExists(atPath: copy.path) else {
      throw CommandFailure("there is no file \(copy.path)")
    }
    let masterKey = try storage.masterKey(in: folder) { keyFile in
      throw CommandFailure("the master key \(keyFile.path) is not there: put it back first")
    }.key
    let draft = database.appendingPathExtension("restored")
    do {
      try Self.retire(database)
      let latest = from.map { URL(fileURLWithPath: $0) } ?? database
      let isLatestThere = FileManager.default.fileExists(atPath: latest.path)
      if from != nil, !isLatestThere { throw CommandFailure("there is no file \(latest.path)") }
      let eras = isLatestThere ? Self.newestEra(in: latest) : nil
      try removeIfThere(draft)
      try copyLedger(copy, to: draft, checks: true, "restoring")
      let loss = isLatestThere ? Self.loss(from: latest, to: draft) : nil
      let era = try await beginEra(in: draft, masterKey, folder, after: eras ?? 0)
      let replaced = try Self.replace(database, by: draft)
      try report(era, loss, replaced)
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      throw CommandFailure("\(copy.path) was not restored: \(reason(for: error))")
    }
  }

  /// Makes sure that nobody uses the present database. A damaged one is moved aside as it is.
  private static func retire(_ database: URL) throws {
    guard FileManager.default.fileExists(atPath: database.path) else { return }
    do {
      try SQLiteStore.retire(database)
    } catch let failure as StoreFailure {
      throw CommandFailure("\(failure): stop the server first")
    } catch {
      print("The present database is damaged (\(error)); it is moved aside as it is.", to: &Terminal.error)
    }
  }

  /// Brings the copy up to date, begins an era in it, and has the disk keep it.
  private func beginEra(
    in draft: URL, _ masterKey: MasterKey, _ folder: URL, after known: Int64
  ) async throws -> Era {
    let store = try SQLiteStore(path: draft.path, masterKey: masterKey)
    let era = try await store.beginEra(
      reason: statedReason, after: max(known, try LogHistory.newestEra(of: store, in: folder) ?? 0))
    try store.finish()
    for suffix in ["-wal", "-shm"] { try removeIfThere(URL(fileURLWithPath: draft.path + suffix)) }
    try DurableFile.sync(draft)
    return era
  }

  /// - Returns: where the present database is now; nil if there was none.
  private static func replace(_ database: URL, by draft: URL) throws -> URL? {
    let manager = FileManager.default
    var stamp: [UInt8] = []
    stamp.append(iso8601: Milliseconds(Date().timeIntervalSince1970 * 1000))
    let aside = database.appendingPathExtension(
      "replaced-" + String(decoding: stamp, as: UTF8.self).replacing(":", with: "-"))
    var isThere = false
    for suffix in ["-shm", "-wal", ""] where manager.fileExists(atPath: database.path + suffix) {
      try manager.moveItem(atPath: database.path + suffix, toPath: aside.path + suffix)
      isThere = true
    }
    try manager.moveItem(at: draft, to: database)
    try DurableFile.sync(database.deletingLastPathComponent())
    return isThere ? aside : nil
  }

  // MARK: What is lost

  private static func newestEra(in latest: URL) -> Int64? {
    do {
      return try SQLiteCopy.newestEra(in: latest)
    } catch {
      return nil  // what it says is read again below, and the failure told
    }
  }

  private static func loss(from latest: URL, to draft: URL) -> LedgerLoss? {
    do {
      return try SQLiteCopy.loss(from: latest, to: draft)
    } catch {
      print("What was lost cannot be read from \(latest.path): \(error)", to: &Terminal.error)
      return nil
    }
  }

  private func report(_ era: Era, _ loss: LedgerLoss?, _ replaced: URL?) throws {
    var lines = ["\(copy.path) is in place. Era \(era.number) has begun: \(Terminal.printable(era.reason))"]
    if let replaced { lines.append("The database that was there is now \(replaced.path). Keep it.") }
    lines.append("")
    lines += loss.map(Self.lines) ?? ["What was lost is not known."]
    lines += ["", "Do what docs/operations.md says under \"After a restore\", and start the server."]
    try StandardOutput.print(lines.joined(separator: "\n"))
  }

  private static func lines(_ loss: LedgerLoss) -> [String] {
    func list(_ what: String, _ names: [String]) -> [String] {
      guard !names.isEmpty else { return [] }
      let more = names.count > 50 ? ["  and \(names.count - 50) more"] : []
      return ["\(what):"] + names.prefix(50).map { "  " + Terminal.printable($0) } + more
    }
    var lines = ["Lost outcomes: \(loss.outcomes). Lost rotations: \(loss.rotations)."]
    if let last = loss.lastDrawn { lines.append("The last lost outcome was drawn at \(last.iso8601).") }
    lines += list("Keys that work again; revoke them (fairdraw key revoke)", loss.keysRevoked)
    lines += list("Accounts that are back; delete them (fairdraw account delete)", loss.accountsDeleted)
    lines += list("Accounts with an earlier email address or password", loss.signInsChanged)
    lines += list("Accounts that are gone", loss.accountsCreated)
    lines += list("Keys that are gone", loss.keysCreated)
    lines += list(
      "Daily roots that are gone; publish them with the reason",
      loss.days.map { day, root in "\(day) \(root.map(\.description) ?? "-")" })
    return lines
  }
}
