import API
import ArgumentParser
import Fairness
import Foundation
import Hummingbird
import Logging
import NIOPosix
import ServiceLifecycle
import Synchronization
import Transparency

struct WitnessCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "witness", abstract: "Watch that logs only grow, and cosign their checkpoints.",
    discussion: """
      A log sends each new checkpoint to POST /add-checkpoint, with the proof that it continues the last one \
      (c2sp.org/tlog-witness). The witness answers with its cosignature if the log has only grown. It never cosigns two \
      histories of one log.

      Any log will do that follows c2sp.org: name its key with --log. The witness prints its own key, for the log's \
      operator and for those who verify proofs. Run it on another machine than the log, under somebody else's care.

      Keep its folder: without the checkpoints in it, the witness could be shown another history.
      """)

  @Option(
    name: .customLong("log"), parsing: .singleValue,
    help: ArgumentHelp("The key of a log to look after, name+hash+base64; may be given again.", valueName: "vkey"),
    transform: VerifyCommand.readLogKey)
  var logs: [LogVerifierKey]

  @Option(
    name: .customLong("data"),
    help: ArgumentHelp(
      "The folder for the witness's key and the last checkpoints. (default: witness in the data folder of a server)",
      valueName: "folder"))
  var dataFolder: String?

  @Option(help: ArgumentHelp("The address to listen on.", valueName: "address"))
  var host = "127.0.0.1"

  @Option(help: ArgumentHelp("The port to listen on; 0 takes any that is free.", valueName: "number"))
  var port = 8082

  @Option(
    help: ArgumentHelp(
      "The witness's name, which is part of its key. (default: witness- and 8 digits of the key)", valueName: "name"))
  var name: String?

  /// The most logs that one witness looks after.
  static let mostLogs = 1000

  func validate() throws {
    guard (1...Self.mostLogs).contains(logs.count) else {
      throw ValidationError("--log must name 1 to \(Self.mostLogs) keys")
    }
    guard (0...65535).contains(port) else { throw ValidationError("--port must be from 0 to 65535.") }
    guard name.map(LogVerifierKey.isName) ?? true else {
      throw ValidationError("--name must be without spaces, control characters and +")
    }
  }

  func run() async throws {
    let folder = try WitnessFolder(
      dataFolder.map { URL(fileURLWithPath: $0, isDirectory: true) }
        ?? StorageOptions.defaultFolder().appendingPathComponent("witness", isDirectory: true))
    let seed = try folder.seed()
    let unnamed = try LogSigner(name: "witness", seed: seed, algorithm: .cosignature).verifierKey
    let digits = LogDigest(of: unnamed.publicKey).description.prefix(8)
    let signer = try LogSigner(name: name ?? "witness-\(digits)", seed: seed, algorithm: .cosignature)
    let keeper = try WitnessKeeper(logs: logs, folder: folder, signer: signer)
    let (host, port) = (host, port)
    var logger = Logger(label: "witness")
    logger.logLevel = .warning
    let application = buildWitnessApplication(
      host: host, port: port, bodyLimit: AddCheckpoint.longest, logger: logger,
      addCheckpoint: { body in await keeper.answer(body) },
      onServerRunning: { address in
        do {
          try StandardOutput.print(
            """
            The witness is listening on http://\(host):\(address?.port ?? port)/add-checkpoint
            Its key is \(signer.verifierKey)
            """)
        } catch {
          print("fairdraw: \(error)", to: &Terminal.error)
        }
      })
    do {
      let configuration = ServiceGroupConfiguration(
        services: [application], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
      try await ServiceGroup(configuration: configuration).run()
    } catch {
      throw CommandFailure("the witness cannot listen on \(host):\(port): \(reason(for: error))")
    }
  }
}

/// Answers requests one after the other, and keeps each checkpoint before it is cosigned.
private final class WitnessKeeper: Sendable {
  private let witness: Witness
  private let folder: WitnessFolder
  private let signer: LogSigner
  /// The last checkpoint of each log, by its origin's bytes. The lock is held while one is decided on and written.
  private let last: Mutex<[[UInt8]: Checkpoint]>

  init(logs: [LogVerifierKey], folder: WitnessFolder, signer: LogSigner) throws {
    witness = Witness(logs: logs)
    self.folder = folder
    self.signer = signer
    var last: [[UInt8]: Checkpoint] = [:]
    for log in logs { last[Array(log.name.utf8)] = try folder.checkpoint(of: log.name) }
    self.last = Mutex(last)
  }

  func answer(_ body: [UInt8]) async -> WitnessAnswer {
    do {
      // Writing blocks the thread.
      return try await NIOThreadPool.singleton.runIfActive { try self.decide(body) }
    } catch {
      print("fairdraw: nothing was cosigned: \(reason(for: error))", to: &Terminal.error)
      return WitnessAnswer(status: 500, body: "The checkpoint could not be kept, so it was not cosigned. Try again.\n")
    }
  }

  private func decide(_ body: [UInt8]) throws -> WitnessAnswer {
    try last.withLock { last in
      switch witness.decide(body, last: { last[Array($0.utf8)] }) {
      case .cosign(let checkpoint):
        try folder.keep(checkpoint)
        last[Array(checkpoint.origin.utf8)] = checkpoint
        let signature = signer.cosign(checkpoint.text, at: Int(Date().timeIntervalSince1970))
        return WitnessAnswer(status: 200, body: "\(signature)\n")
      case .refuse(let refusal):
        if refusal.isSuspicious, let text = try? AddCheckpoint(body).note.text {
          print(
            "fairdraw: \(refusal.reason) The log signed: \(Terminal.printable(String(text.prefix(1000))))",
            to: &Terminal.error)
        }
        guard let size = refusal.size else {
          return WitnessAnswer(status: refusal.status, body: refusal.reason + "\n")
        }
        return WitnessAnswer(status: refusal.status, contentType: "text/x.tlog.size", body: "\(size)\n")
      }
    }
  }
}
