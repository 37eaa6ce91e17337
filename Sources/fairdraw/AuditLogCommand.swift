import ArgumentParser
import Fairness
import Foundation
import Ledger
import Transparency

struct AuditLogCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "Recompute the continuous log from its entries, and check that it only grows.",
    discussion: """
      Without --url it holds the local database against its log: every recorded outcome, commitment and revealed seed is \
      written down as it was logged and its digest looked for, every entry must be of something that is recorded, and \
      every draw whose seed is revealed is recomputed. What was changed, removed or added is named. With --state an \
      interrupted audit continues where it was.

      With --url and the log's key it needs nothing but the server's public addresses: it checks the signature of the \
      newest checkpoint, recomputes the tree from the entries, and compares the keys in the first entry with those that \
      the server names. --state then remembers what was seen: the next run reads only new entries, and a log that shrank \
      or was rewritten is noticed. An interrupted run continues from there.

      Each line of the report is one check. The exit status is 0 if all checks pass, 1 if one fails, and 2 if none fails \
      but not everything could be checked, because the server did not answer, say.
      """)

  @Option(help: ArgumentHelp("The server to ask, such as https://draws.example.com.", valueName: "url"))
  var url: String?

  @Option(
    help: ArgumentHelp("The log's key, as you noted it: name+hash+base64.", valueName: "vkey"),
    transform: VerifyCommand.readLogKey)
  var key: LogVerifierKey?

  @Option(
    help: ArgumentHelp(
      "A tlog-policy: the log, unless --key names it, and which witnesses must have cosigned.", valueName: "file"))
  var policy: String?

  @Option(help: ArgumentHelp("Where to remember what was seen; created if it is not there.", valueName: "file"))
  var state: String?

  @Option(
    help: ArgumentHelp(
      "Outcomes that must be in the log, up to 4 million: a JSON array, one per line, or an account's export.",
      discussion: "The whole log is then read, from its first entry.", valueName: "file"))
  var outcomes: String?

  @OptionGroup var storage: StorageOptions

  func validate() throws {
    guard let url else {
      guard key == nil, policy == nil, outcomes == nil else {
        throw ValidationError("--key, --policy and --outcomes go with --url.")
      }
      return
    }
    try AuditCommand.checkURL(url)
    guard key != nil || policy != nil else {
      throw ValidationError("--url needs the log's --key, or a --policy that names the log.")
    }
  }

  func run() async throws {
    guard let url else { return try await auditDatabase() }
    let rules = try VerifyCommand.policy(key: key, file: policy)
    guard let key = key ?? (rules.logs.count == 1 ? rules.logs.first?.key : nil) else {
      throw CommandFailure("\(policy ?? "the policy") names several logs: choose one with --key")
    }
    var audit = try ServedLogAudit(url: url, key: key, policy: rules.trusting(key))
    audit.state = state.map { StateFile($0) }
    audit.outcomes = try outcomes.map(Self.readOutcomes)
    try await audit.run()
  }

  private func auditDatabase() async throws {
    let (store, masterKey, place) = try storage.open()
    var report = AuditReport()
    do {
      var file = state.map { StateFile<LedgerAuditState>($0) }
      var known = try file?.load()
      if let database = known?.database, database != place {
        throw CommandFailure("\(state ?? "") is about another database, \(database)")
      }
      if known?.isDone == true { known = nil }
      let scope = try store.auditScope()
      guard !scope.logs.isEmpty else {
        throw CommandFailure("\(place) has no log yet: it begins when a server is started", status: 2)
      }
      guard scope.queued != nil else { throw AuditScope.tooManyWait }
      let bar = ProgressBar(total: 1000)
      var audit = try LedgerAudit(
        store: store, seeds: store.seeds, shortIDs: ShortIDs(masterKey: masterKey), masterKey: masterKey,
        state: known ?? LedgerAuditState(database: place, scope: scope))
      while try await audit.step() {
        try file?.saveSometimes(audit.state)
        let progress = audit.state.progress
        bar.show(progress.done, progress.what)
      }
      bar.clear()
      file?.remove()
      for finding in audit.findings {
        if let fault = finding.fault {
          try report.fail(finding.name, fault)
        } else {
          try report.pass(finding.name, finding.note)
        }
      }
      for note in audit.notes { try report.note(note) }
    } catch let failure as StoreFailure {
      throw CommandFailure("the database could not be read: \(failure)", status: 2)
    }
    try report.finish(place)
  }

  private static func readOutcomes(_ path: String) throws -> SoughtOutcomes {
    var sought = SoughtOutcomes()
    do {
      try InputFile.forEachLine(of: path) { try sought.read($0) }
    } catch let error as SoughtOutcomes.Unreadable {
      throw CommandFailure("the outcomes in \(path) cannot be read: \(error)")
    }
    return sought
  }
}
