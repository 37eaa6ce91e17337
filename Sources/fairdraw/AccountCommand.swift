import Accounts
import ArgumentParser
import Foundation
import Ledger

struct AccountCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "account",
    abstract: "Create, change, list, export and delete accounts. Works with or without a running server.",
    subcommands: [Create.self, Change.self, List.self, Password.self, Usage.self, Export.self, Delete.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create an account.",
      discussion: """
        With --email, the account holder can sign in on the server's pages. On a terminal the command asks for the \
        password; otherwise it reads one line from standard input.
        """)

    @Argument(help: "The account's name: 1 to 100 characters, unique.")
    var name: String

    @Option(help: ArgumentHelp("Live outcomes per day. (default: the server's setting)", valueName: "n|none"))
    var dailyQuota: DailyQuotaArgument?

    @Option(help: ArgumentHelp("The email address that the account holder signs in with.", valueName: "address"))
    var email: String?

    @OptionGroup var storage: StorageOptions

    func validate() throws {
      guard AccountName.isValid(name) else {
        throw ValidationError("An account's name is one line of 1 to 100 characters.")
      }
      if let email { _ = try emailAddress(email) }
    }

    func run() async throws {
      let signIn = try email.map { SignIn(email: try emailAddress($0), password: try newPassword()) }
      let account = try await administering(storage) {
        try await $0.createAccount(name: name, dailyQuota: dailyQuota?.quota, signIn: signIn)
      }
      print("Account \(account.id.rawValue), \"\(account.name)\", is ready. Give it a key:", to: &Terminal.error)
      print("  fairdraw key create --account \(Terminal.quoted(name))", to: &Terminal.error)
    }
  }

  struct Change: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set", abstract: "Change an account's daily quota.",
      discussion: "It takes effect at once, on all servers. What was drawn today counts.")

    @Argument(help: "The account.")
    var name: String

    @Option(help: ArgumentHelp("Live outcomes per day, or none for the server's setting.", valueName: "n|none"))
    var dailyQuota: DailyQuotaArgument

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let account = try await administering(storage) { store in
        try await store.setDailyQuota(dailyQuota.quota, of: store.existingAccount(named: name).id)
      }
      let quota = account.dailyQuota.map(String.init) ?? "the server's setting"
      print("The daily quota of account \"\(name)\" is \(quota).", to: &Terminal.error)
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List accounts.")

    @OptionGroup var format: ListFormat
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let rows = try await administering(storage) { store in
        var rows: [[Listing.Cell]] = []
        for account in try await store.accounts() {
          rows.append([
            .integer(account.id.rawValue), .text(account.name),
            account.dailyQuota.map { .integer(Int64($0)) } ?? .told("server's", .nothing), .time(account.created),
            try await store.signIn(of: account.id).map { .text($0.email.description) } ?? .nothing,
          ])
        }
        return rows
      }
      var list = format.list(["ID", "NAME", "DAILY QUOTA", "CREATED", "EMAIL"])
      try list.print(rows)
    }
  }

  struct Password: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Set an account's password, and its email address.",
      discussion: """
        On a terminal the command asks for the password; otherwise it reads one line from standard input. All sessions of \
        the account end.
        """)

    @Argument(help: "The account.")
    var name: String

    @Option(
      help: ArgumentHelp(
        "The email address to sign in with; required if the account has none. (default: its current one)",
        valueName: "address"))
    var email: String?

    @OptionGroup var storage: StorageOptions

    func validate() throws { if let email { _ = try emailAddress(email) } }

    func run() async throws {
      let address = try await administering(storage) { store in
        let account = try await store.existingAccount(named: name)
        if let email = self.email { return try emailAddress(email) }
        guard let known = try await store.signIn(of: account.id)?.email else {
          throw CommandFailure("account \"\(name)\" has no email address yet: give it one with --email")
        }
        return known
      }
      // Asked for between the two, so that nothing is held while a person types.
      let signIn = SignIn(email: address, password: try newPassword())
      try await administering(storage) { store in
        try await store.setSignIn(signIn, of: store.existingAccount(named: name).id, keeping: nil)
      }
      print("\(signIn.email) may sign in to account \"\(name)\" with the new password.", to: &Terminal.error)
    }
  }

  struct Usage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the number of live outcomes of an account, by day and endpoint, latest day first.")

    @Argument(help: "The account.")
    var name: String

    @Option(help: ArgumentHelp("The number of days, including today.", valueName: "n"))
    var days = 60

    @OptionGroup var format: ListFormat
    @OptionGroup var storage: StorageOptions

    func validate() throws {
      guard (1...36_525).contains(days) else { throw ValidationError("--days must be from 1 to 36525.") }
    }

    func run() async throws {
      let today = Day(of: Milliseconds(Date().timeIntervalSince1970 * 1000))
      let usage = try await administering(storage) { store in
        // The database's clock may be a little ahead, across midnight.
        try await store.usage(
          of: store.existingAccount(named: name).id, days: Day(number: today.number - Int64(days) + 1)...today.next)
      }
      var list = format.list(["DATE", "ENDPOINT", "OUTCOMES"])
      try list.print(usage.map { [.text("\($0.day)"), .text($0.endpoint.name), .integer(Int64($0.count))] })
    }
  }

  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write everything that is stored for an account to standard output, except its secrets.",
      discussion: """
        json is one object: the account, its keys without their secrets, its usage, its webhooks, and its outcomes as they \
        were returned, including those of test keys. csv has only the outcomes, one per row. In csv, text that a \
        spreadsheet could read as a formula, or that begins with an apostrophe, gets an apostrophe in front.
        """)

    @Argument(help: "The account.")
    var name: String

    @Option(help: ArgumentHelp("json or csv.", valueName: "format"))
    var format = "json"

    @OptionGroup var publicURL: PublicURLOption
    @OptionGroup var storage: StorageOptions

    func validate() throws {
      guard AccountExport.Format(rawValue: format) != nil else {
        throw ValidationError("--format must be json or csv, not \"\(format)\".")
      }
    }

    func run() async throws {
      let format = AccountExport.Format(rawValue: format) ?? .json
      let url = try publicURL.setting()
      let (store, masterKey, _) = try storage.open()
      try await administering(store) { store in
        let renderer = OutcomeRenderer(shortIDs: ShortIDs(masterKey: masterKey), publicURL: url)
        let account = try await store.existingAccount(named: name)
        try await AccountExport(store: store, renderer: renderer).write(format, of: account.id) {
          try StandardOutput.write($0)
        }
      }
    }
  }

  struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete an account with its keys, webhooks and sign-in. This cannot be undone.",
      discussion: """
        Every running server rejects its keys within a second. Its outcomes stay, since published roots and permalinks \
        include them. Server seeds that are still secret stay secret for ever: to reveal them, rotate its chains first.
        """)

    @Argument(help: "The account.")
    var name: String

    @Flag(help: "Do not ask for confirmation.")
    var yes = false

    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let account = try await administering(storage) { try await $0.existingAccount(named: name) }
      if !yes {
        guard isatty(STDIN_FILENO) == 1 else {
          throw ValidationError("Without a terminal, deleting an account needs --yes.")
        }
        print(
          "Account \"\(name)\" will be deleted, with its keys and webhooks. Type its name to confirm: ", terminator: "",
          to: &Terminal.error)
        guard readLine() == name else { throw CommandFailure("this is not its name: nothing was deleted") }
      }
      try await administering(storage) { try await $0.deleteAccount(account.id) }
      print("Account \(account.id.rawValue), \"\(account.name)\", is deleted.", to: &Terminal.error)
    }
  }
}

/// Where clients reach the server, for commands that write permalinks.
struct PublicURLOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where clients reach the server. Permalinks begin with it. (default: http://127.0.0.1:8080)", valueName: "url"))
  var publicURL: String?

  func setting() throws -> String { try publicURLSetting(publicURL) ?? "http://127.0.0.1:8080" }
}

/// - Throws: a usage error.
private func emailAddress(_ text: String) throws -> EmailAddress {
  guard let address = EmailAddress(text) else { throw ValidationError("\"\(text)\" is not an email address.") }
  return address
}

/// A new password, asked for twice on a terminal, else read from standard input.
private func newPassword() throws -> PasswordHash {
  let password: String
  if isatty(STDIN_FILENO) == 1 {
    password = try Terminal.secret("Password: ")
    guard try Terminal.secret("Repeat the password: ") == password else {
      throw CommandFailure("the two passwords differ: nothing was changed")
    }
  } else {
    guard let line = readLine() else { throw CommandFailure("there is no password on standard input") }
    password = line
  }
  let lengths = PasswordHash.lengths
  guard lengths.contains(password.utf8.count) else {
    throw CommandFailure(
      "a password is \(lengths.lowerBound) to \(lengths.upperBound) bytes long: nothing was changed")
  }
  return try PasswordHash(of: password)
}

// MARK: Opening the store

/// Opens the store and does something to it, with what can go wrong said in a sentence.
func administering<Result>(
  _ storage: StorageOptions, _ body: (any Store) async throws -> Result
) async throws -> Result {
  try await administering(try storage.open().store, body)
}

func administering<Result>(
  _ store: any Store, _ body: (any Store) async throws -> Result
) async throws -> Result {
  do {
    return try await body(store)
  } catch let failure as CommandFailure {
    throw failure
  } catch let error as AdministrationError {
    throw CommandFailure(error.description)
  } catch {
    throw CommandFailure("the database could not be read or changed: \(reason(for: error))")
  }
}

/// Reads a list a page at a time, so that memory does not depend on its length.
///
/// - Parameter page: reads what comes after `last`, at most `count`, and shows it.
func inPages<Entry>(
  of limit: Int, _ page: (_ last: Entry?, _ count: Int) async throws -> [Entry]
) async throws {
  var left = limit
  var last: Entry?
  repeat {
    let entries = try await page(last, min(left, 500))
    left -= entries.count
    last = entries.last
  } while last != nil && left > 0
}

extension AccountStore {
  func accountNames() async throws -> [AccountID: String] {
    Dictionary(uniqueKeysWithValues: try await accounts().map { ($0.id, $0.name) })
  }
}
