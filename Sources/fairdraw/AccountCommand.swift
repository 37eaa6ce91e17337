import ArgumentParser
import Foundation
import Ledger

struct AccountCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "account", abstract: "Make and list accounts, beside a running server or without one.",
    subcommands: [Create.self, List.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make an account.")

    @Argument(help: "What to call it: 1 to 100 characters, and no other account's name.")
    var name: String

    @Option(help: ArgumentHelp("Live outcomes a day. (default: the server's setting)", valueName: "n"))
    var dailyQuota: Int?

    @OptionGroup var storage: StorageOptions

    func validate() throws {
      guard AccountName.isValid(name) else {
        throw ValidationError("An account's name is one line of 1 to 100 characters.")
      }
      if let dailyQuota, !(0...Int(Int32.max)).contains(dailyQuota) {
        throw ValidationError("--daily-quota must be from 0 to \(Int32.max).")
      }
    }

    func run() async throws {
      let account = try administering(storage) { try $0.createAccount(name: name, dailyQuota: dailyQuota) }
      print("Account \(account.id.rawValue), \"\(account.name)\", is ready. Give it a key:", to: &Terminal.error)
      print("  fairdraw key create --account \(Terminal.quoted(name))", to: &Terminal.error)
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List accounts.")

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let accounts = try administering(storage) { try $0.accounts() }
      let rows = accounts.map {
        [
          String($0.id.rawValue), $0.name, $0.dailyQuota.map(String.init) ?? "server's",
          Terminal.time($0.created),
        ]
      }
      Terminal.table(["ID", "NAME", "DAILY QUOTA", "CREATED"], rows)
    }
  }
}

/// Opens the store and does something to it, with what can go wrong said in a sentence.
func administering<Result>(_ storage: StorageOptions, _ body: (any LedgerStore) throws -> Result) throws -> Result {
  try administering(try storage.open().store as any LedgerStore, body)
}

func administering<Store, Result>(_ store: Store, _ body: (Store) throws -> Result) throws -> Result {
  do {
    return try body(store)
  } catch let error as AdministrationError {
    throw CommandFailure(error.description)
  } catch {
    throw CommandFailure("the database could not be read or changed: \(error)")
  }
}
