import API
import Accounts
import ArgumentParser
import Foundation
import Ledger

struct KeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Create, change, list and revoke API keys. Works with or without a running server.",
    subcommands: [Create.self, Import.self, Change.self, List.self, Revoke.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create a key and print it once, on standard output.",
      discussion: """
        The server stores only a hash of the key. A lost key cannot be shown again. If the database is a cell \
        (`serve --cell`), the key carries the cell's name.
        """)

    @OptionGroup var choices: KeyChoices

    @Option(
      help: ArgumentHelp(
        "live, or test for draws that are repeatable and cost nothing. (default: live)", valueName: "live|test"))
    var mode: Mode?

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let setting = try CellSetting.name()
      let store = try storage.open().store
      let cell = try await administering(store) { try await CellSetting.cell(of: $0, named: setting) }
      var key = try NewAPIKey(
        mode: mode ?? .live, cell: cell, name: choices.name, allowedNetworks: choices.allowedNetworks,
        allowedReferers: choices.allowedReferers, scopes: choices.scopes)
      try choices.finish(&key)
      try await administering(store) { [key] store in
        let holder = try await choices.holder(in: store)
        _ = try await StandardOutput.show(key.secret) { try await store.createKey(key, of: holder.id) }
      }
      print("Keep it: it is not shown again. Its name in lists is \(key.prefix).", to: &Terminal.error)
    }
  }

  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Accept a key that another service made, read from standard input.",
      discussion: "Clients keep their key. Only a hash of it is stored.")

    @OptionGroup var choices: KeyChoices
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      guard let secret = readLine() else { throw CommandFailure("there is no key on standard input") }
      let imported = NewAPIKey(
        imported: secret, name: choices.name, allowedNetworks: choices.allowedNetworks,
        allowedReferers: choices.allowedReferers, scopes: choices.scopes)
      guard var key = imported else {
        throw CommandFailure(
          "this is no key: a key is pk_live_ or pk_test_ and 16 to 56 letters, digits, hyphens and underscores")
      }
      try choices.finish(&key)
      try await administering(storage) { [key] store in
        let holder = try await choices.holder(in: store)
        _ = try await store.createKey(key, of: holder.id)
      }
      print("The key is accepted. Its name in lists is \(key.prefix).", to: &Terminal.error)
    }
  }

  struct Change: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set", abstract: "Change a key's own daily quota.",
      discussion: "It takes effect at once, on all servers. Draws are counted while the key has a quota.")

    @Argument(help: "The beginning of the key, long enough to be unique.")
    var prefix: String

    @Option(
      help: ArgumentHelp("Live outcomes per day within the account's quota, or none.", valueName: "n|none"))
    var dailyQuota: DailyQuotaArgument

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let key = try await administering(storage) { store in
        let key = try await store.key(beginningWith: prefix)
        if dailyQuota.quota != nil, let problem = KeyQuota.problem(in: key.mode) { throw CommandFailure(problem) }
        return try await store.setKeyQuota(dailyQuota.quota, of: key.id, account: key.account)
      }
      print(
        key.dailyQuota.map { "The daily quota of \(key.prefix) is \($0)." } ?? "\(key.prefix) has no quota of its own.",
        to: &Terminal.error)
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List keys by their beginnings.",
      discussion: "The server records the last use and the refused requests of each key every few seconds.")

    @OptionGroup var format: ListFormat
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let (keys, names) = try await administering(storage) { (try await $0.keys(of: nil), try await $0.accountNames()) }
      let rows = keys.map { report in
        let key = report.key
        let quota: Listing.Cell = key.dailyQuota.map { .integer(Int64($0)) } ?? .nothing
        return [
          .text(key.prefix), .text(key.name), .text(names[key.account] ?? ""), .text(key.mode.name),
          .words(key.scopes.names, ","), quota, key.dailyQuota == nil ? .nothing : .integer(Int64(report.usedToday)),
          .text(key.revoked == nil ? "active" : "revoked"), key.revoked.map { .time($0) } ?? .nothing,
          .time(key.created), report.activity.lastUsed.map { .time($0) } ?? .told("never", .nothing),
          .integer(Int64(report.activity.denied)), .words(key.allowedNetworks, " "), .words(key.allowedReferers, " "),
        ] as [Listing.Cell]
      }
      var list = format.list([
        "PREFIX", "NAME", "ACCOUNT", "MODE", "SCOPES", "DAILY QUOTA", "USED TODAY", "STATE", "REVOKED", "CREATED",
        "LAST USED", "DENIED", "ADDRESSES", "REFERERS",
      ])
      try list.print(rows)
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Revoke a key.", discussion: "Every running server rejects it within a second. This cannot be undone.")

    @Argument(help: "The beginning of the key, long enough to be unique.")
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

/// Whose a new key is, what it is called, and where it may be used.
struct KeyChoices: ParsableArguments {
  @Option(help: ArgumentHelp("The account that the key belongs to.", valueName: "name"))
  var account: String

  @Option(help: ArgumentHelp("The key's name in lists: up to 100 characters.", valueName: "text"))
  var name = ""

  @Option(
    name: .customLong("allow-ip"), parsing: .singleValue,
    help: ArgumentHelp("A CIDR block that the key may be used from; may be repeated.", valueName: "block"))
  var allowedNetworks: [String] = []

  @Option(
    name: .customLong("allow-referer"), parsing: .singleValue,
    help: ArgumentHelp(
      "An origin that the key may be used from, such as https://*.example.com; may be repeated.", valueName: "origin"))
  var allowedReferers: [String] = []

  @Option(
    help: ArgumentHelp(
      "What the key may do: draw, read (look up outcomes and usage), manage (webhooks; live keys only), with commas between them. (default: draw,read)",
      valueName: "scopes"))
  var scope: String?

  @Option(
    help: ArgumentHelp(
      "Live outcomes per day with this key, within the account's quota. (default: none)", valueName: "n|none"))
  var dailyQuota: DailyQuotaArgument?

  var scopes: KeyScopes { scope.flatMap { KeyScopes(names: $0.split(separator: ",")) } ?? .usual }

  func validate() throws {
    if let scope, KeyScopes(names: scope.split(separator: ",", omittingEmptySubsequences: false)) == nil {
      throw ValidationError("--scope must be one or more of draw, read and manage, with commas between them.")
    }
    guard KeyName.isValid(name) else { throw ValidationError("--name must be one line of at most 100 characters.") }
    if let problem = KeyRestrictions.problem(networks: allowedNetworks, referers: allowedReferers) {
      throw ValidationError(problem)
    }
  }

  /// Gives a key its quota, and makes sure that it can be what was chosen.
  func finish(_ key: inout NewAPIKey) throws {
    key.dailyQuota = dailyQuota?.quota
    if let problem = key.scopes.problem(in: key.mode)
      ?? dailyQuota?.quota.flatMap({ _ in KeyQuota.problem(in: key.mode) })
    {
      throw CommandFailure(problem)
    }
  }

  /// The account, if it may have another key.
  func holder(in store: any AccountStore) async throws -> Account {
    let holder = try await store.existingAccount(named: account)
    guard try await store.keys(of: holder.id).count(where: { $0.key.revoked == nil }) < maximumKeys else {
      throw AdministrationError.tooManyKeys
    }
    return holder
  }
}

extension Mode: ExpressibleByArgument {
  public init?(argument: String) { self.init(name: argument) }
  public var defaultValueDescription: String { name }
  public static var allValueStrings: [String] { allCases.map(\.name) }
  public static var allValueDescriptions: [String: String] { [:] }
}
