import ArgumentParser
import Foundation
import Ledger
import PostgresStore

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Check the settings, the files, the database and the log of an installation.",
    discussion: """
      Prints one line for each check: ok, warning or wrong, with what to do. Run it as the server's user or as root, \
      while the server runs or not. The exit code is 0 if all is ok, 1 if something is wrong, and 2 if there are only \
      warnings.
      """)

  @Flag(help: "Print one JSON object a line.")
  var json = false

  @OptionGroup var storage: StorageOptions

  func run() async throws {
    var diagnosis = Diagnosis(isJSON: json)
    let settings = try checkSettings(&diagnosis)
    if let settings { try Self.checkAddresses(settings, &diagnosis) }
    try Self.checkRandomness(&diagnosis)
    let folder = try storage.fileFolder()
    try FileChecks(folder: folder, keyFile: storage.keyFile(in: folder)).run(&diagnosis)
    let isPublic = try await checkServer(settings, &diagnosis)
    // A key file that cannot be used is reported with the database.
    if isPublic, let url = settings?.publicURL, let masterKey = try? MasterKeyFile.read(storage.keyFile(in: folder)) {
      try await ProxyCheck(url: url, masterKey: masterKey).run(&diagnosis)
    }
    if try isThere(folder, &diagnosis) {
      do {
        try await StoreChecks(
          opened: storage.open(), folder: folder, witnesses: settings?.witnesses.addresses ?? [], cell: settings?.cell
        ).run(&diagnosis)
      } catch let failure as CommandFailure {
        try diagnosis.add(.wrong, "database", failure.description)
      } catch {
        try diagnosis.add(.wrong, "database", reason(for: error))
      }
    }
    if let code = diagnosis.exitCode { throw ExitCode(code) }
  }

  /// Each setting with where it comes from.
  ///
  /// - Returns: the values; nil if one is not as it should be.
  private func checkSettings(_ diagnosis: inout Diagnosis) throws -> Serve.Values? {
    let given = ["data": storage.dataFolder, "database": storage.database, "master-key-file": storage.masterKeyFile]
    for setting in SettingDescription.all {
      let found = Settings.found(setting.name, given[setting.name] ?? nil)
      let source =
        switch found?.source {
        case nil: "default"
        case .option: "option"
        case .environment: Settings.variable(setting.name)
        case .file(let path): path
        }
      let value = found.map { ConnectionTarget.hidingSecret(in: $0.text) } ?? setting.standard
      try diagnosis.add(.ok, "setting", "\(setting.name) = \(value) (\(source))")
    }
    do {
      return try Serve.parse([]).settings()
    } catch {
      try diagnosis.add(.wrong, "settings", Serve.message(for: error))
      return nil
    }
  }

  /// Whether clients can reach the server as it is set, and are told apart behind a proxy.
  private static func checkAddresses(_ settings: Serve.Values, _ diagnosis: inout Diagnosis) throws {
    guard let url = settings.publicURL else {
      return try diagnosis.add(
        .warning, "public-url",
        "is not set, so permalinks lead only to this machine: set public-url before the first draw that others see")
    }
    try diagnosis.add(.ok, "public-url", url)
    let isLocal = ["127.0.0.1", "::1", "localhost"].contains(settings.server.host)
    guard url.hasPrefix("https:") || isLocal else {
      return try diagnosis.add(
        .warning, "proxy", "public-url is not https: browsers can verify nothing there; put a proxy with TLS in front")
    }
    if settings.server.trustedProxies.isEmpty {
      try diagnosis.add(
        .warning, "proxy",
        "trusted-proxies is not set: behind a proxy all callers have its address and share one rate limit; set it to the "
          + "proxy's address")
    } else {
      try diagnosis.add(
        .ok, "proxy", "X-Forwarded-For is read from \(settings.server.trustedProxies.count) trusted blocks")
    }
  }

  /// Whether seeds and keys can be made here.
  private static func checkRandomness(_ diagnosis: inout Diagnosis) throws {
    do {
      try RandomSource.system.check()
      try diagnosis.add(
        .ok, "randomness", "passes the repetition count and the adaptive proportion test of NIST SP 800-90B")
    } catch let failure as StoreFailure {
      try diagnosis.add(.wrong, "randomness", failure.description)
    }
  }

  /// Whether a server runs, and the public URL leads to it.
  ///
  /// - Returns: whether a Fairdraw answers at the public URL.
  private func checkServer(_ settings: Serve.Values?, _ diagnosis: inout Diagnosis) async throws -> Bool {
    var isPublic = false
    let local = try? StatusCommand.address()
    for (what, base) in [("server", local), ("public-url", settings?.publicURL)] {
      guard let base else { continue }
      do {
        let answer = try await HTTPFetch(base: base).get("/api/health")
        guard let status = answer.text("status"), let version = answer.text("version") else {
          try diagnosis.add(.warning, what, "\(base) answers, but is no Fairdraw")
          continue
        }
        let isWell = answer.status == 200
        isPublic = what == "public-url"
        try diagnosis.add(
          isWell ? .ok : .wrong, what, "\(base) is \(status), version \(version)" + (isWell ? "" : ": see its log"))
      } catch {
        try diagnosis.add(.warning, what, "no server responds: \(error)")
      }
    }
    return isPublic
  }

  /// A database that is not there is made by the server, not by a check.
  private func isThere(_ folder: URL, _ diagnosis: inout Diagnosis) throws -> Bool {
    guard let file = try storage.fileIfEmbedded(), !FileManager.default.fileExists(atPath: file.path) else {
      return true
    }
    try diagnosis.add(
      .warning, "database", "there is none at \(file.path) yet: the server creates it at its first start")
    return false
  }
}
