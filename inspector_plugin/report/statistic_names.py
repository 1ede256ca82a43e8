"""What tables call the statistics."""

NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "quadratic_kappa": "quadratic kappa",
    "krippendorff_alpha": "Krippendorff's alpha",
    "spearman": "Spearman",
    "kendall_tau_b": "Kendall tau-b",
    "somers_d": "Somers' D",
    "mean_difference": "mean difference",
    "lower_limit": "lower limit of agreement",
    "upper_limit": "upper limit of agreement",
}
