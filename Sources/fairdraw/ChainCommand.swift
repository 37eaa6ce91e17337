import Accounts
import ArgumentParser
import Fairness
import Foundation
import Ledger

struct ChainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chain", abstract: "List and rotate an account's seed chains. Works with or without a running server.",
    subcommands: [List.self, Rotate.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List an account's chains by client seed, with cursor and nonce.",
      discussion: "Test keys have no chains.")

    @Option(help: ArgumentHelp("The account.", valueName: "name"))
    var account: String

    @Option(help: ArgumentHelp("Only client seeds that begin with this, byte for byte.", valueName: "text"))
    var prefix = ""

    @Option(help: ArgumentHelp("The maximum number of lines.", valueName: "n"))
    var limit = 100

    @OptionGroup var format: ListFormat
    @OptionGroup var storage: StorageOptions

    func validate() throws {
      guard (1...100_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 100000.") }
    }

    func run() async throws {
      try await administering(storage) { store in
        let account = try await store.existingAccount(named: account).id
        var list = format.list(["CURSOR", "NONCE", "CREATED", "SERVER HASH", "CLIENT SEED"])
        try await inPages(of: limit) { (last: ChainReport?, count) in
          let chains = try await store.chains(
            of: account, prefix: Array(prefix.utf8), after: last?.clientSeed, limit: count)
          try list.print(
            chains.map {
              [
                .integer($0.cursor), .integer($0.nonce), .time($0.created),
                .text(String(decoding: $0.serverHash.hex, as: UTF8.self)), .text($0.clientSeed.description),
              ]
            })
          return chains
        }
      }
    }
  }

  struct Rotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Reveal a chain's server seed, and give the chain a new one.",
      discussion: """
        The revealed seed goes to standard output. This does the same as POST /api/rotate: anyone can then check every \
        draw made so far, and the next draw uses a new seed, of which only the hash is public.
        """)

    @Option(help: ArgumentHelp("The account.", valueName: "name"))
    var account: String

    @Option(help: ArgumentHelp("The chain's client seed.", valueName: "text"))
    var clientSeed: String

    @OptionGroup var storage: StorageOptions

    func validate() throws { _ = try parseClientSeed(clientSeed) }

    func run() async throws {
      let clientSeed = try parseClientSeed(clientSeed)
      let (store, masterKey, _) = try storage.open()
      let reply = try await administering(store) { store in
        let account = try await store.existingAccount(named: account).id
        // What a server would be told by its settings plays no part in a rotation.
        let decider = Decider(masterKey: masterKey, seeds: store.seeds, publicURL: "", defaultDailyQuota: 0)
        let writer = LedgerWriter(store: store, decider: decider)
        let submission = Submission(caller: .holder(account), operation: .rotate(clientSeed))
        let result: Result<Reply, LedgerUnavailable>
        do throws(LedgerUnavailable) {
          result = .success(try await writer.submit(submission))
        } catch {
          result = .failure(error)
        }
        await writer.drain()
        return try result.get()
      }
      guard let rotation = reply.rotation else {
        throw CommandFailure(reply.refusal?.error ?? "the ledger returned an unexpected reply")
      }
      do {
        try StandardOutput.print(rotation.serverSeed.description)
      } catch {
        throw CommandFailure(
          "\(error.description). The chain is rotated; verifying an outcome of it, by its shortId, shows the revealed seed"
        )
      }
      print("The next draw uses a server seed whose hash is \(rotation.nextHash).", to: &Terminal.error)
    }
  }
}

struct OutcomesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "outcomes", abstract: "List an account's outcomes. Works with or without a running server.",
    subcommands: [List.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the outcomes of a client seed as they were returned, newest first, one JSON object per line.",
      discussion: "Lists outcomes of live keys, or with --mode test those of test keys.")

    @Option(help: ArgumentHelp("The account.", valueName: "name"))
    var account: String

    @Option(help: ArgumentHelp("The kind of key that drew them. (default: live)", valueName: "live|test"))
    var mode: Mode?

    @Option(help: ArgumentHelp("The client seed.", valueName: "text"))
    var clientSeed: String

    @Option(help: ArgumentHelp("The maximum number of lines.", valueName: "n"))
    var limit = 1000

    @OptionGroup var publicURL: PublicURLOption
    @OptionGroup var storage: StorageOptions

    func validate() throws {
      _ = try parseClientSeed(clientSeed)
      guard (1...10_000_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 10000000.") }
    }

    func run() async throws {
      let clientSeed = try parseClientSeed(clientSeed)
      let url = try publicURL.setting()
      let (store, masterKey, _) = try storage.open()
      let renderer = OutcomeRenderer(shortIDs: ShortIDs(masterKey: masterKey), publicURL: url)
      try await administering(store) { store in
        let caller = Caller.holder(try await store.existingAccount(named: account).id, mode ?? .live)
        try await store.forEachOutcome(of: caller, clientSeed: clientSeed, limit: limit) { outcome in
          var line: [UInt8] = []
          renderer.append(outcome, to: &line)
          line.append(UInt8(ascii: "\n"))
          try StandardOutput.write(line)
        }
      }
    }
  }
}

/// - Throws: a usage error.
private func parseClientSeed(_ text: String) throws -> ClientSeed {
  do {
    return try ClientSeed(text)
  } catch {
    throw ValidationError("--client-seed \(error.reason).")
  }
}
