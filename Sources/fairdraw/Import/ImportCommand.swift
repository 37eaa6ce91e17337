import Accounts
import ArgumentParser
import Fairness
import Foundation
import JSON
import Ledger

struct ImportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Bring what another service recorded. Works with or without a running server.",
    subcommands: [Outcomes.self])

  struct Outcomes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Import the outcomes that another service exports, so that they can be looked up and checked here.",
      discussion: """
        FILE is an export as CSV, with a header row, or as JSON: an array, one outcome a line, or an object that has one \
        array. The columns or members have the names that /api/listOutcomes gives them; serverSeed and items are used \
        where they are there. In a cell, outcome, items and weights are JSON.

        Imported outcomes have their permalink, are in the account's lists and can be verified. They are marked as \
        imported. They use no quota, and are in no tree and no log. No draw continues their chains.

        Each row is checked. What has a server seed is recomputed. A row that is wrong is refused, with its line and the \
        name of the member, and the others are imported; the exit status is then 1. The command can be interrupted and \
        repeated: what is there already is skipped. Rows of test mode are left out.
        """)

    @Argument(help: ArgumentHelp("The file, or - for standard input.", valueName: "file"))
    var file: String

    @Option(help: ArgumentHelp("The account that the outcomes will belong to.", valueName: "name"))
    var account: String

    @Flag(help: "Check everything and write nothing.")
    var dryRun = false

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let reader = try ExportReader(file)
      let tally = try await administering(storage) { store in
        var run = ImportRun(store: store, account: try await store.existingAccount(named: account).id, isDryRun: dryRun)
        let bar = ProgressBar(total: reader.size)
        defer { bar.clear() }
        while let record = try reader.next() {
          try await run.take(record)
          bar.show(reader.position, "\(run.tally.done) outcomes")
        }
        try await run.flush()
        return run.tally
      }
      print(tally.summary(isDryRun: dryRun), to: &Terminal.error)
      if tally.refused > 0 { throw ExitCode(1) }
    }
  }
}

/// Outcomes on their way into a store, a bounded number at a time.
private struct ImportRun {
  let store: any Store
  let account: AccountID
  let isDryRun: Bool
  private let now = LedgerWriter.wallClock()
  private(set) var tally = ImportTally()
  private var batch: [(line: Int, outcome: ImportedOutcome)] = []
  private var bytes = 0

  /// What one transaction has at most.
  static let (mostRows, mostBytes) = (1000, 8 << 20)

  init(store: any Store, account: AccountID, isDryRun: Bool) {
    self.store = store
    self.account = account
    self.isDryRun = isDryRun
  }

  mutating func take(_ record: ExportRecord) async throws {
    do {
      guard let outcome = try ImportedOutcome(try record.value(), now: now) else {
        tally.ofTestMode += 1
        return
      }
      batch.append((record.line, outcome))
      bytes += outcome.outcome.bytes
    } catch let error as InvalidParameter {
      tally.refuse(record.line, "\(error.name) \(error.reason)")
    } catch let error as ExportRecord.Malformed {
      tally.refuse(record.line, error.reason)
    }
    if batch.count >= Self.mostRows || bytes >= Self.mostBytes { try await flush() }
  }

  mutating func flush() async throws {
    guard !batch.isEmpty else { return }
    let results = try await store.importOutcomes(batch.map(\.outcome), for: account, isDryRun: isDryRun)
    for (row, result) in zip(batch, results) { tally.add(row.outcome, result, line: row.line) }
    batch.removeAll(keepingCapacity: true)
    bytes = 0
  }
}

/// What became of the rows of a file.
private struct ImportTally {
  var ofTestMode = 0
  private(set) var refused = 0
  private var imported = 0
  private var completed = 0
  private var known = 0
  private var unchecked = 0

  /// So many refusals are printed.
  private static let mostShown = 50

  var done: Int { imported + completed + known }

  mutating func refuse(_ line: Int, _ reason: String) {
    refused += 1
    guard refused <= Self.mostShown else { return }
    print(Terminal.printable("line \(line): \(reason)"), to: &Terminal.error)
    if refused == Self.mostShown { print("further refused rows are only counted", to: &Terminal.error) }
  }

  mutating func add(_ outcome: ImportedOutcome, _ result: ImportResult, line: Int) {
    switch result {
    case .imported: imported += 1
    case .completed: completed += 1
    case .known: known += 1
    case .differs(let member): return refuse(line, "shortId names an imported outcome that has another \(member)")
    case .taken: return refuse(line, "shortId names an outcome of this server or of another account")
    }
    if !outcome.isRecomputed { unchecked += 1 }
  }

  func summary(isDryRun: Bool) -> String {
    let verb = isDryRun ? "would be " : ""
    var lines = ["\(imported) \(verb)imported"]
    func add(_ count: Int, _ text: String) { if count > 0 { lines.append("\(count) \(text)") } }
    add(known, "already there")
    add(completed, "\(verb)completed: their server seed or items were not known")
    add(unchecked, "could not be recomputed: their server seed, items or values are not in the file")
    add(ofTestMode, "left out: they are of test mode")
    add(refused, "refused")
    return lines.joined(separator: "\n")
  }
}
