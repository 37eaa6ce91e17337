import ArgumentParser
import Foundation
import Ledger
import Logging
import Transparency

struct MerkleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merkle", abstract: "Publish and list daily roots. Works with or without a running server.",
    discussion: "A running server publishes each day automatically, within a minute after midnight UTC.",
    subcommands: [Publish.self, List.self])

  struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Publish the root of a day, and of missing days before it.",
      discussion: """
        The root goes to standard output. For a day without outcomes it is an empty line. A published day stays as it is; \
        its root is printed again.
        """)

    @Option(help: ArgumentHelp("The day, which must be over, such as 2026-02-28.", valueName: "date"))
    var date: String

    @OptionGroup var storage: StorageOptions

    func validate() throws { _ = try parseDay(date, "--date") }

    func run() async throws {
      let day = try parseDay(date, "--date")
      let (store, masterKey, _) = try storage.open()
      var logger = Logger(label: "merkle")
      logger.logLevel = .critical  // what there is to say is said below
      let publisher = MerklePublisher(store: store, signer: try RootSigner(masterKey: masterKey), logger: logger)
      do {
        try publisher.publish(through: day) {
          if $0.day != day { print("\($0.day) was missing, and is published now.", to: &Terminal.error) }
        }
        guard let published = try await store.publishedDay(day) else {
          throw CommandFailure("there is nothing to publish of \(day): no outcome was recorded on it or before it")
        }
        try StandardOutput.print(published.statement.root)
        print("\(day): \(published.leafCount) leaves.", to: &Terminal.error)
      } catch let error as DayNotOver {
        throw CommandFailure(error.description)
      } catch let failure as StoreFailure {
        throw CommandFailure("the root could not be published: \(failure)")
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List roots, newest first.")

    @Option(help: ArgumentHelp("How many, 1 to 10000. (default: 30)", valueName: "n"))
    var limit: Int = 30

    @OptionGroup var format: ListFormat
    @OptionGroup var storage: StorageOptions

    func validate() throws {
      guard (1...10_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 10000.") }
    }

    func run() async throws {
      let store = try storage.open().store
      let days: [PublishedDay]
      do {
        days = try await store.publishedDays(before: nil, limit: limit)
      } catch {
        throw CommandFailure("the database could not be read: \(error)")
      }
      var list = format.list(["DATE", "LEAVES", "PUBLISHED", "ROOT"])
      try list.print(
        days.map {
          [.text("\($0.day)"), .integer(Int64($0.leafCount)), .time($0.publishedAt), .text($0.statement.root)]
        })
    }
  }
}

/// - Throws: a usage error that names the option.
func parseDay(_ text: String, _ option: String) throws -> Day {
  guard let day = Day(text) else {
    throw ValidationError("\(option) must be a day of the calendar, such as 2026-02-28, not \"\(text)\".")
  }
  return day
}
