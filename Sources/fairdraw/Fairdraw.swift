import ArgumentParser
import Foundation
import NIOCore
import NIOPosix
import PostgresStore

/// The command line.
struct Fairdraw: AsyncParsableCommand {
  static let version = "0.2.0"

  static let configuration = CommandConfiguration(
    commandName: "fairdraw",
    abstract: "Random draws that anyone can check.",
    discussion: """
      Start a server:
        fairdraw serve

      Create an account and a key, while the server runs:
        fairdraw account create "My game"
        fairdraw key create --account "My game"

      Every option can also be set in the environment, --daily-quota as FAIRDRAW_DAILY_QUOTA, or in the file
      /etc/fairdraw/fairdraw.conf (or the one that FAIRDRAW_CONFIG names), as daily-quota = 10000. An option on the
      command line takes precedence, then the environment.
      """,
    version: version,
    subcommands: [
      Serve.self, AccountCommand.self, KeyCommand.self, ChainCommand.self, OutcomesCommand.self, WebhookCommand.self,
      VerifyCommand.self, MerkleCommand.self, AuditCommand.self, WitnessCommand.self, MigrateCommand.self,
      BackupCommand.self, RestoreCommand.self, EraCommand.self, StatusCommand.self, DoctorCommand.self,
      ImportCommand.self, BytesCommand.self, RaffleCommand.self, DrawCommand.self, ListenCommand.self,
    ])
}

@main
enum Main {
  static func main() async {
    StandardStreams.prepare()
    Allocator.returnFreeMemory()
    // The database and its key are for nobody else's eyes.
    umask(0o077)
    ProcessTitle.hidePasswords()
    do {
      var command = try Fairdraw.parseAsRoot()
      _ = try SettingsFile.loaded.get()
      if var command = command as? AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch let failure as CommandFailure {
      fail(failure)
    } catch {
      let code = Fairdraw.exitCode(for: error)
      let message = Self.hidingPasswords(in: Fairdraw.fullMessage(for: error))
      guard !message.isEmpty else { exit(code.rawValue) }
      // What was asked for (help, the version) is output; all else is a complaint.
      guard code.isSuccess else {
        print(message, to: &Terminal.error)
        exit(code.rawValue)
      }
      do { try StandardOutput.print(message) } catch { fail(error) }
    }
  }

  /// The parser's complaints repeat what it was given, of which a part may be a database's password.
  private static func hidingPasswords(in message: String) -> String {
    let given = CommandLine.arguments.filter { ConnectionTarget.secret(in: $0) != nil }
    let urls =
      given
      + given.compactMap { argument in
        argument.firstIndex(of: "=").map { String(argument[$0...].dropFirst()) }
      }
    return urls.reduce(message) { $0.replacing($1, with: ConnectionTarget.hidingSecret(in: $1)) }
  }

  private static func fail(_ failure: CommandFailure) -> Never {
    print("fairdraw: \(failure)", to: &Terminal.error)
    exit(failure.status)
  }
}
