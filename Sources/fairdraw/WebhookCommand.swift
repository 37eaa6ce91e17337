import Accounts
import ArgumentParser
import Foundation
import Ledger
import Webhooks

struct WebhookCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "webhook",
    abstract: "Report an account's draws to a URL. Works with or without a running server.",
    subcommands: [
      Create.self, List.self, Delete.self, Test.self, Deliveries.self, Resend.self, RotateSecret.self, Enable.self,
      Disable.self,
    ])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create a webhook and print its secret once, on standard output.",
      discussion:
        "From then on, every draw with a live key of the account is reported to the URL, signed with the secret.")

    @Option(help: ArgumentHelp("Whose draws.", valueName: "name"))
    var account: String

    @Option(help: ArgumentHelp("Where to send the draws: http or https.", valueName: "url"))
    var url: String

    @Option(
      help: ArgumentHelp(
        "A secret that the receiver has already, instead of a new one; - reads it from standard input.",
        valueName: "whsec_…|-"))
    var secret: String?

    @Option(
      help: ArgumentHelp(
        "The types of events to send, with commas between them: \(WebhookEvents.allNames.joined(separator: ", ")). (default: all)",
        valueName: "types"))
    var events: String?

    @OptionGroup var storage: StorageOptions

    private var chosenEvents: WebhookEvents? {
      guard let events else { return .all }
      return WebhookEvents(names: events.split(separator: ",", omittingEmptySubsequences: false))
    }

    func validate() throws {
      guard chosenEvents != nil else {
        throw ValidationError("--events must be one or more of \(WebhookEvents.allNames.joined(separator: ", ")).")
      }
      guard WebhookURL(url) != nil else {
        throw ValidationError(
          "--url must be an http or https URL of at most \(WebhookURL.longest) characters, without user, password or fragment."
        )
      }
    }

    private func givenSecret(_ given: String) throws -> WebhookSecret {
      guard let secret = WebhookSecret(given == "-" ? readLine() ?? "" : given), secret.isLongEnough
      else { throw CommandFailure("a secret is whsec_ and the base64 of 16 to 64 bytes") }
      return secret
    }

    func run() async throws {
      guard let url = WebhookURL(url) else { throw CommandFailure("the URL cannot be used") }
      let events = chosenEvents ?? .all
      let given = try secret.map(givenSecret)
      let secret = try given ?? WebhookSecret()
      let webhook = try await administering(storage) { store in
        let holder = try await store.existingAccount(named: account).id
        guard try await store.webhooks(of: holder).count < maximumWebhooks else {
          throw AdministrationError.tooManyWebhooks(account)
        }
        if given != nil { return try await store.createWebhook(url: url, secret: secret, events: events, of: holder) }
        return try await StandardOutput.show(secret.text) {
          try await store.createWebhook(url: url, secret: secret, events: events, of: holder)
        }
      }
      print(
        "Webhook \(webhook.id.rawValue) is ready. \(given != nil ? "" : "Copy the secret now: it is not shown again. ")To test it:",
        to: &Terminal.error)
      print("  fairdraw webhook test \(webhook.id.rawValue)", to: &Terminal.error)
      if let key = webhook.publicKey {
        print("Its public key, for receivers that do not have the secret: \(key)", to: &Terminal.error)
      }
      if let address = NetworkAddress(url.host), !AddressGuard.isPublic(address) {
        print(
          "\(url.host) is a private address: the server delivers there only with --allow-private-webhooks.",
          to: &Terminal.error)
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List webhooks.")

    @Option(help: ArgumentHelp("Only webhooks of this account.", valueName: "name"))
    var account: String?

    @OptionGroup var format: ListFormat
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let (webhooks, names) = try await administering(storage) { store in
        let id = if let account { try await store.existingAccount(named: account).id } else { nil as AccountID? }
        return (try await store.webhooks(of: id), try await store.accountNames())
      }
      let rows = webhooks.map { webhook in
        [
          .integer(webhook.id.rawValue), .text(names[webhook.account] ?? ""),
          .text(webhook.isEnabled ? webhook.fault ?? "enabled" : "disabled: \(webhook.disabledReason ?? "")"),
          .time(webhook.created), .words(webhook.events == .all ? ["all"] : webhook.events.names, ","),
          webhook.publicKey.map { .text($0) } ?? .nothing, .text(webhook.url),
        ] as [Listing.Cell]
      }
      var list = format.list(["ID", "ACCOUNT", "STATE", "CREATED", "EVENTS", "PUBLIC KEY", "URL"])
      try list.print(rows)
    }
  }

  struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete a webhook and its deliveries, including pending ones.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      try await administering(storage) { try await $0.deleteWebhook(webhook.id, of: nil) }
      print("Webhook \(webhook.number) is deleted.", to: &Terminal.error)
    }
  }

  struct Test: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send a test event.", discussion: "A running server delivers it within a second or two.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let delivery = try await administering(storage) { try await $0.createTestDelivery(for: webhook.id, of: nil) }
      print("Delivery \(delivery.rawValue) is due. To see the result:", to: &Terminal.error)
      print("  fairdraw webhook deliveries", to: &Terminal.error)
    }
  }

  struct Deliveries: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List deliveries and their attempts, newest first.",
      discussion: "Delivered deliveries are kept for 7 days, dead ones for 30 days, each with its latest 20 attempts.")

    @Option(help: ArgumentHelp("Only webhooks of this account.", valueName: "name"))
    var account: String?

    @Option(help: ArgumentHelp("Only deliveries in this state: pending, delivered or dead.", valueName: "state"))
    var state: String?

    @Option(help: ArgumentHelp("The maximum number of lines.", valueName: "n"))
    var limit = 50

    @OptionGroup var format: ListFormat
    @OptionGroup var storage: StorageOptions

    func validate() throws {
      if let state, DeliveryState(name: state) == nil {
        throw ValidationError("--state must be pending, delivered or dead, not \"\(state)\".")
      }
      guard (1...100_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 100000.") }
    }

    func run() async throws {
      let (store, masterKey, _) = try storage.open()
      let state = state.flatMap(DeliveryState.init(name:))
      let shortIDs = ShortIDs(masterKey: masterKey)
      try await administering(store) { store in
        let id = if let account { try await store.existingAccount(named: account).id } else { nil as AccountID? }
        var list = format.list([
          "ID", "STATE", "DUE", "EVENT", "OUTCOME", "WEBHOOK", "URL", "ATTEMPTS", "LAST STATUS", "LAST ERROR",
        ])
        try await inPages(of: limit) { (last: DeliveryReport?, count) in
          let deliveries = try await store.deliveries(
            of: id, endpoint: nil, state: state, before: last?.id, limit: count)
          if format.json {
            try list.print(deliveries.map { Self.row($0, shortIDs) })
          } else {
            for delivery in deliveries { try show(delivery, shortIDs) }
          }
          return deliveries
        }
      }
    }

    private static func row(_ delivery: DeliveryReport, _ shortIDs: ShortIDs) -> [Listing.Cell] {
      let last = delivery.attempts.last
      return [
        .integer(delivery.id.rawValue), .text(delivery.state.name), delivery.due.map { .time($0) } ?? .nothing,
        .text(delivery.event),
        delivery.outcome.map { .text(String(decoding: shortIDs.encode($0), as: UTF8.self)) } ?? .nothing,
        .integer(delivery.endpoint.rawValue), .text(delivery.url), .integer(Int64(delivery.attempts.count)),
        last?.status.map { .integer(Int64($0)) } ?? .nothing, last?.error.map { .text($0) } ?? .nothing,
      ]
    }

    private func show(_ delivery: DeliveryReport, _ shortIDs: ShortIDs) throws {
      let event =
        delivery.outcome.map { "outcome " + String(decoding: shortIDs.encode($0), as: UTF8.self) } ?? delivery.event
      let due = delivery.due.map { ", due \(Terminal.time($0))" } ?? ""
      try StandardOutput.print(
        "\(delivery.id.rawValue)  \(delivery.state.name)\(due)  \(event)  to \(delivery.endpoint.rawValue) \(delivery.url)"
      )
      for attempt in delivery.attempts {
        let status = attempt.status.map(String.init) ?? "no answer"
        try StandardOutput.print(
          "    \(Terminal.time(attempt.at))  \(status)  \(attempt.latency) ms  \(attempt.error ?? "delivered")")
        let answer = Terminal.printable(String(String(decoding: attempt.answer, as: UTF8.self).prefix(200)))
        if attempt.error != nil, !answer.isEmpty { try StandardOutput.print("      \(answer)") }
      }
    }
  }

  struct Resend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send a delivery again, in any state, or all of a time range, with the same webhook-id.",
      discussion: "With --webhook, --from and --until: the webhook's dead deliveries that were made in that time.")

    @Argument(help: "The delivery's number, from `fairdraw webhook deliveries`.")
    var delivery: Int64?

    @Option(help: ArgumentHelp("The webhook whose deliveries to send again.", valueName: "id"))
    var webhook: Int64?

    @Option(help: ArgumentHelp("The first time, as 2026-11-21 or 2026-11-21T08:30:00Z.", valueName: "time"))
    var from: String?

    @Option(help: ArgumentHelp("The last time, in the same form.", valueName: "time"))
    var until: String?

    @Option(help: ArgumentHelp("dead or delivered. (default: dead)", valueName: "state"))
    var state: String?

    @OptionGroup var storage: StorageOptions

    private func time(_ text: String?) -> Milliseconds? {
      guard let text else { return nil }
      if let day = Day(text) { return day.start }
      return ISO8601DateFormatter().date(from: text).map { Milliseconds($0.timeIntervalSince1970 * 1000) }
    }

    func validate() throws {
      guard (delivery == nil) != (webhook == nil) else {
        throw ValidationError("Give either a delivery, or --webhook with --from and --until.")
      }
      guard delivery == nil || from == nil && until == nil && state == nil else {
        throw ValidationError("--from, --until and --state go with --webhook.")
      }
      guard state == nil || ["dead", "delivered"].contains(state) else {
        throw ValidationError("--state must be dead or delivered.")
      }
      guard delivery != nil || time(from) ?? .max <= time(until) ?? .min else {
        throw ValidationError("--from and --until must be times, such as 2026-11-21T08:30:00Z, in this order.")
      }
    }

    func run() async throws {
      if let delivery {
        try await administering(storage) { try await $0.resendDelivery(DeliveryID(delivery), of: nil) }
        print("Delivery \(delivery) is due.", to: &Terminal.error)
      } else if let webhook, let from = time(from), let until = time(until) {
        let state = state.flatMap(DeliveryState.init(name:)) ?? .dead
        let total = try await administering(storage) {
          try await $0.resendAllDeliveries(
            of: WebhookEndpointID(webhook), made: from...until, state: state, of: nil)
        }
        print("\(total) deliveries are due.", to: &Terminal.error)
      }
    }
  }

  struct RotateSecret: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give a webhook a new secret and print it once, on standard output.",
      discussion: "For 24 hours, webhook-signature has a signature with each of the two secrets.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      let secret = try WebhookSecret()
      try await administering(storage) { store in
        guard try await store.webhooks(of: nil).contains(where: { $0.id == webhook.id }) else {
          throw AdministrationError.unknownWebhook(webhook.id)
        }
        try await StandardOutput.show(secret.text) {
          try await store.setWebhookSecret(webhook.id, to: secret, of: nil)
        }
      }
      print("Copy it now: it is not shown again. For 24 hours, the old secret signs too.", to: &Terminal.error)
    }
  }

  struct Enable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Enable a webhook.", discussion: "Deliveries that were pending when it was disabled continue.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      _ = try await administering(storage) { try await $0.setWebhook(webhook.id, enabled: true, of: nil) }
      print("Webhook \(webhook.number) is enabled.", to: &Terminal.error)
    }
  }

  struct Disable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Disable a webhook.", discussion: "Draws made while it is disabled are never reported.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup var storage: StorageOptions

    func run() async throws {
      _ = try await administering(storage) { try await $0.setWebhook(webhook.id, enabled: false, of: nil) }
      print("Webhook \(webhook.number) is disabled.", to: &Terminal.error)
    }
  }
}

struct WebhookArgument: ParsableArguments {
  @Argument(help: ArgumentHelp("The webhook's number, from `fairdraw webhook list`.", valueName: "id"))
  var number: Int64

  var id: WebhookEndpointID { WebhookEndpointID(number) }
}
