import API
import ArgumentParser
import Foundation
import Ledger

struct KeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Make, list and revoke API keys, beside a running server or without one.",
    subcommands: [Create.self, List.self, Revoke.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key and print it, this once, on standard output.",
      discussion: "Only a hash of the key is kept: whoever loses it needs a new one.")

    @Option(help: ArgumentHelp("The account it draws for.", valueName: "name"))
    var account: String

    @Option(help: ArgumentHelp("What to call it in lists: up to 100 characters.", valueName: "text"))
    var name = ""

    @Option(help: ArgumentHelp("live, or test for rehearsals that are repeatable and free.", valueName: "mode"))
    var mode = Mode.live

    @Option(
      name: .customLong("allow-ip"), parsing: .singleValue,
      help: ArgumentHelp("A CIDR block it may be used from; may be given again.", valueName: "block"))
    var allowedNetworks: [String] = []

    @Option(
      name: .customLong("allow-referer"), parsing: .singleValue,
      help: ArgumentHelp(
        "An origin it may be used from, such as https://*.example.com; may be given again.", valueName: "origin"))
    var allowedReferers: [String] = []

    @OptionGroup var storage: StorageOptions

    func validate() throws {
      guard KeyName.isValid(name) else { throw ValidationError("--name must be one line of at most 100 characters.") }
      if let problem = KeyRestrictions.problem(networks: allowedNetworks, referers: allowedReferers) {
        throw ValidationError(problem)
      }
    }

    func run() async throws {
      let key = NewAPIKey(
        mode: mode, name: name, allowedNetworks: allowedNetworks, allowedReferers: allowedReferers)
      try await administering(storage) { store in
        let holder = try await store.existingAccount(named: account)
        guard try await store.keys(of: holder.id).count(where: { $0.key.revoked == nil }) < maximumKeys else {
          throw AdministrationError.tooManyKeys
        }
        _ = try await StandardOutput.show(key.secret) { try await store.createKey(key, of: holder.id) }
      }
      print("Keep it: it is not shown again. Its name in lists is \(key.prefix).", to: &Terminal.error)
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List keys by what they begin with.",
      discussion: "When each was last used, and how often it was refused, is told by servers every few seconds.")

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let (keys, names) = try await administering(storage) { (try await $0.keys(of: nil), try await $0.accountNames()) }
      let rows = keys.map { report in
        let key = report.key
        return [
          key.prefix, Terminal.printable(key.name), names[key.account] ?? "", key.mode.name,
          key.revoked.map { "revoked \(Terminal.time($0))" } ?? "active", Terminal.time(key.created),
          report.activity.lastUsed.map(Terminal.time) ?? "never", String(report.activity.denied),
          key.allowedNetworks.joined(separator: " "),
          key.allowedReferers.joined(separator: " "),
        ]
      }
      try Terminal.table(
        ["PREFIX", "NAME", "ACCOUNT", "MODE", "STATE", "CREATED", "LAST USED", "DENIED", "ADDRESSES", "REFERERS"], rows)
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Revoke a key.", discussion: "Every running server turns it away within a second. It cannot be undone.")

    @Argument(help: "What the key begins with, as much as it takes to tell it from the others.")
    var prefix: String

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let key = try await administering(storage) { store in
        let key = try await store.key(beginningWith: prefix)
        return try await store.revokeKey(key.id, of: key.account)
      }
      print("\(key.prefix) is revoked.", to: &Terminal.error)
    }
  }
}

extension Mode: ExpressibleByArgument {
  public init?(argument: String) { self.init(name: argument) }
  public var defaultValueDescription: String { name }
  public static var allValueStrings: [String] { allCases.map(\.name) }
}
