import API
import Accounts
import ArgumentParser
import Foundation
import Ledger
import Logging
import Transparency

extension Serve {
  /// The settings as they are used, wherever they come from.
  struct Values {
    var server: ServerConfiguration
    let dailyQuota: Int
    /// Outcomes a day for callers without a key; nil is no limit.
    let anonymousQuota: Int?
    let commitmentLifetime: Milliseconds
    let retention: IdempotencyRetention
    let logLevel: Logger.Level
    let publicURL: String?
    let cell: CellName?
    let metricsPort: Int?
    let metricsHost: String
    let allowsPrivateWebhooks: Bool
    let isSignUpOpen: Bool
    let shutdownDelay: Duration
    let witnesses: (addresses: [WitnessAddress], interval: Duration)
  }

  /// - Throws: a usage error that names the first setting that is not as it should be.
  func settings() throws -> Values {
    Values(
      server: try serverSettings(),
      dailyQuota: try Settings.integer("daily-quota", dailyQuota, in: 0...Int(Int32.max)) ?? 10_000,
      anonymousQuota: try anonymousSetting(),
      commitmentLifetime: Milliseconds(
        try Settings.integer("commit-ttl-ms", commitTTLMs, in: 1...86_400_000) ?? 600_000),
      retention: try idempotencyRetentionSetting(idempotencyRetention), logLevel: try logLevelSetting(),
      publicURL: try publicURLSetting(publicURL), cell: try CellSetting.name(cell),
      metricsPort: try Settings.integer("metrics-port", metricsPort, in: 1...65535),
      metricsHost: Settings.text("metrics-host", metricsHost) ?? "127.0.0.1",
      allowsPrivateWebhooks: try Settings.flag("allow-private-webhooks", allowPrivateWebhooks),
      isSignUpOpen: try Settings.flag("sign-up", signUp),
      shutdownDelay: .seconds(try Settings.integer("shutdown-delay", shutdownDelay, in: 0...60) ?? 0),
      witnesses: (addresses: try witnesses.addresses(), interval: try witnesses.interval()))
  }

  /// What the settings say of the server itself.
  private func serverSettings() throws -> ServerConfiguration {
    var server = ServerConfiguration()
    (server.maximumConnections, server.maximumConnectionsPerAddress) = try connectionSettings()
    server.host = Settings.text("host", host) ?? server.host
    server.port = try Settings.integer("port", port, in: 0...65535) ?? server.port
    server.rateLimitPerMinute =
      try Settings.integer("rate-limit-per-minute", rateLimitPerMinute, in: 0...1_000_000) ?? server.rateLimitPerMinute
    server.trustedProxies = try (Settings.text("trusted-proxies", trustedProxies) ?? "").split(separator: ",").map {
      let text = $0.trimmingCharacters(in: .whitespaces)
      guard let network = Network(text) else {
        throw ValidationError(
          "--trusted-proxies (FAIRDRAW_TRUSTED_PROXIES) must be CIDR blocks separated by commas; \"\(text)\" is not a CIDR block."
        )
      }
      return network
    }
    return server
  }

  /// How many connections there may be, in all and from one address.
  private func connectionSettings() throws -> (Int, Int) {
    let possible = OpenFiles.raiseLimit() - OpenFiles.reserve
    let wanted = try Settings.integer("max-connections", maxConnections, in: 1...1_000_000)
    if let wanted, wanted > possible {
      throw ValidationError(
        """
        --max-connections (FAIRDRAW_MAX_CONNECTIONS) must be at most \(possible) here: the system allows \
        \(possible + OpenFiles.reserve) open files, and the server needs \(OpenFiles.reserve) of them for other purposes.
        """)
    }
    let total = wanted ?? min(ServerConfiguration().maximumConnections, possible)
    let ofOne = try Settings.integer("max-connections-per-address", maxConnectionsPerAddress, in: 1...1_000_000)
    return (total, ofOne ?? min(ServerConfiguration().maximumConnectionsPerAddress, max(1, total / 2)))
  }

  /// Outcomes a day for callers without a key; nil is no limit.
  private func anonymousSetting() throws -> Int? {
    guard let text = Settings.text("anonymous", anonymous) else { return nil }
    if text == "off" { return 0 }
    guard let draws = Int(text), (1...Int(Int32.max)).contains(draws) else {
      throw ValidationError(
        "--anonymous (FAIRDRAW_ANONYMOUS) must be off or a whole number from 1 to \(Int32.max), not \"\(text)\".")
    }
    return draws
  }

  private func logLevelSetting() throws -> Logger.Level {
    guard let text = Settings.text("log-level", logLevel) else { return .info }
    guard let level = Logger.Level(rawValue: text) else {
      throw ValidationError(
        "--log-level (FAIRDRAW_LOG_LEVEL) must be \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")), not \"\(text)\"."
      )
    }
    return level
  }
}
