import Accounts
import Ledger

extension AdministrationError {
  /// What it means to an account's holder, who has no command line.
  var problem: FormProblem {
    switch self {
    case .nameTaken: FormProblem("Another account has this name.", status: 409)
    case .emailTaken: FormProblem("Another account has this email address.", status: 409)
    case .keyExists: FormProblem("This key exists already.", status: 409)
    case .tooManyKeys:
      FormProblem(
        "This account has \(maximumKeys) keys that are not revoked, the maximum. Revoke one first.",
        status: 409)
    case .tooManyWebhooks:
      FormProblem(
        "This account has \(maximumWebhooks) webhooks, the maximum. Delete one first.", status: 409)
    case .webhookExists:
      FormProblem(
        "There is a webhook for this URL already. If you do not have its secret, replace it on the webhook's page.",
        status: 409)
    case .idempotencyConflict: FormProblem("This was sent before, for something else.", status: 409)
    case .webhookDisabled: FormProblem("This webhook is disabled. Enable it first.", status: 409)
    case .unknownAccount, .noAccount: FormProblem("This account no longer exists.", status: 404)
    case .unknownKey, .ambiguousPrefix: FormProblem("There is no such key.", status: 404)
    case .unknownWebhook: FormProblem("There is no such webhook.", status: 404)
    case .unknownDelivery: FormProblem("There is no such delivery.", status: 404)
    case .anotherCell: FormProblem("The server's cell has another name.", status: 409)
    }
  }

  /// The same as a page of its own, for what was asked for by its address.
  var refusal: Refusal { Refusal(problem.status, problem.sentence) }
}
