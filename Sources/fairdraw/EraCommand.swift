import ArgumentParser
import Foundation
import Ledger

struct EraCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "era", abstract: "Begin a new era after the database was restored to an earlier state.",
    subcommands: [Begin.self, List.self])

  struct Begin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "From the next start on, draw from server seeds that nobody can know.",
      discussion: """
        After a restore from a backup, seeds that were revealed in the lost time would be used again. In a new era, every \
        new chain and every rotated chain has a seed that was never used. Stop all servers first: a running server stays \
        in the era that it was started in.
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
      let era = try await administering(storage) { try await $0.beginEra(reason: reason) }
      print("Era \(era.number) has begun. Rotate the chains that were in use before anything is drawn from them.")
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the eras, and why each began.")

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let eras = try await administering(storage) { try await $0.eras() }
      try Terminal.table(
        ["ERA", "BEGUN", "REASON"],
        eras.map { [String($0.number), Terminal.time($0.begun), Terminal.printable($0.reason)] })
    }
  }
}
