import Accounts
import ArgumentParser
import Foundation
import Ledger

struct EraCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "era", abstract: "Begin a new era after the database was restored to an earlier state.",
    subcommands: [Begin.self, List.self])

  struct Begin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Use nothing again that was drawn or told in lost time.",
      discussion: """
        After a restore from a backup, what was drawn in the lost time would be drawn again. In a new era every chain \
        continues with a server seed that was never used, its coordinates and all short ids are new, open commitments \
        have expired, and the continuous log is another. Stop all servers first; then start them again.

        With the embedded database, `fairdraw restore` does this and more.
        """)

    @Option(help: ArgumentHelp("The reason, shown by `fairdraw era list`: one line.", valueName: "text"))
    var reason: String

    @OptionGroup var storage: StorageOptions

    func validate() throws {
      guard !reason.isEmpty, KeyName.isValid(reason) else {
        throw ValidationError("--reason must be one line of 1 to 100 characters.")
      }
    }

    func run() async throws {
      let folder = try storage.fileFolder()
      let era = try await administering(storage) { store in
        try await store.beginEra(reason: reason, after: try LogHistory.newestEra(of: store, in: folder) ?? 0)
      }
      print("Era \(era.number) has begun. Start the servers again.")
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the eras, and why each began.")

    @OptionGroup var format: ListFormat
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let eras = try await administering(storage) { try await $0.eras() }
      var list = format.list(["ERA", "BEGUN", "REASON"])
      try list.print(eras.map { [.integer(Int64($0.number)), .time($0.begun), .text($0.reason)] })
    }
  }
}
