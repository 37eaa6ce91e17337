import ArgumentParser
import Foundation
import Ledger
import SQLiteStore

struct BackupCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup", abstract: "Write a copy of the embedded database, while the server runs or not.",
    discussion: """
      The copy is of one moment, compact, and readable by its owner alone. It delays nobody. Keep it apart from the \
      master key, which is not in it. `fairdraw restore` puts it back.
      """)

  @Argument(help: ArgumentHelp("The file to write. It must not exist.", valueName: "file"))
  var file: String

  @OptionGroup var storage: StorageOptions

  func run() async throws {
    let database = try storage.embeddedFile(advice: "use pg_basebackup, pg_dump or your provider's backups")
    let copy = URL(fileURLWithPath: file)
    guard FileManager.default.fileExists(atPath: database.path) else {
      throw CommandFailure("there is no database at \(database.path)")
    }
    guard !FileManager.default.fileExists(atPath: copy.path) else {
      throw CommandFailure("\(copy.path) exists already")
    }
    let draft = copy.appendingPathExtension("part")
    do {
      try removeIfThere(draft)
      try copyLedger(database, to: draft, checks: false, "copying")
      try DurableFile.sync(draft)
      try FileManager.default.moveItem(at: draft, to: copy)
      try DurableFile.sync(copy.deletingLastPathComponent())
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      throw CommandFailure("\(database.path) was not copied to \(copy.path): \(reason(for: error))")
    }
    print("\(copy.path) is written. The master key is not in it: keep a copy of that elsewhere.", to: &Terminal.error)
  }
}

/// Copies a ledger's file with a progress bar.
func copyLedger(_ file: URL, to copy: URL, checks: Bool, _ what: String) throws {
  // It is the bar's length alone that depends on it.
  let bar = ProgressBar(total: 1000)
  defer { bar.clear() }
  bar.show(0, checks ? "checking \(file.lastPathComponent)" : what)
  try SQLiteCopy.make(of: file, at: copy, checks: checks) { written, total in
    bar.show(total > 0 ? min(written, total) * 1000 / total : 0, what)
  }
}

/// Removes a file that may not be there, and what SQLite keeps beside it.
func removeIfThere(_ file: URL) throws {
  for path in [file.path, file.path + "-wal", file.path + "-shm", file.path + "-journal"]
  where FileManager.default.fileExists(atPath: path) {
    try FileManager.default.removeItem(atPath: path)
  }
}
