"""Modules and functions that read the clock or randomness, and those that only compute."""

from __future__ import annotations

import re

# Modules and functions whose results may differ between equal calls. The local time zone is always UTC.
MODULES = frozenset(
    {
        "random", "secrets", "uuid", "tempfile", "dateparser", "faker", "nanoid", "shortuuid", "timeago",
        "ulid",
    }
)  # fmt: skip
STARS = MODULES | {"time", "os", "email.utils"}
CALLS = frozenset(
    {
        "time.time", "time.gmtime", "time.ctime", "time.asctime", "time.strftime",
        "os.times", "numpy.random", "utils.formatdate", "utils.make_msgid", "humanize.naturaldate",
        "humanize.naturalday", "humanize.naturaltime", "pendulum.tomorrow", "pendulum.yesterday",
        "torch.rand", "torch.randint", "torch.randn", "torch.randperm",
    }
)  # fmt: skip
# Attributes that are treated as varying on every object, because the object may be an alias of an alias.
NAMES = frozenset(
    {
        "now", "today", "utcnow", "localtime", "time_ns", "monotonic", "monotonic_ns",
        "perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time",
        "thread_time_ns", "clock_gettime", "clock_gettime_ns", "urandom", "getrandom", "getpid", "getppid",
        "as_completed", "imap_unordered",
    }
)  # fmt: skip
# Equal objects have different ids, and the hash of an object may be made from its id.
BUILTINS = frozenset({"hash", "id"})
# These functions read the clock if an argument is "now" or "today".
READING_NOW = frozenset({"datetime64", "Timestamp", "to_datetime", "Period", "DatetimeIndex"})
# Generators with a state of their own, which the seed of their module does not decide, and another seed.
NOT_DECIDED_BY_SEED = frozenset(
    {"SystemRandom", "Random", "default_rng", "RandomState", "Generator", "SeedSequence", "seed"}
)
CONCURRENT = frozenset({"asyncio", "concurrent", "joblib", "multiprocessing", "threading", "_thread"})
# Exceptions in the modules above: types, functions that depend only on their arguments, and unnamed files.
STEADY_NAMES = frozenset(
    {
        "uuid.UUID", "uuid.uuid3", "uuid.uuid5", "uuid.NAMESPACE_DNS", "uuid.NAMESPACE_URL",
        "uuid.NAMESPACE_OID", "uuid.NAMESPACE_X500", "random.Random", "tempfile.TemporaryFile",
        "tempfile.SpooledTemporaryFile",
    }
)  # fmt: skip
# Functions that depend only on their arguments if they are called with at least this many.
GENERATORS = {
    f"random.{name}": 1
    for name in (
        "Random",
        "default_rng",
        "RandomState",
        "PCG64",
        "Philox",
        "MT19937",
        "SFC64",
        "SeedSequence",
    )
}
DEPENDING_ON_ARGUMENTS = {
    "time.gmtime": 1, "time.localtime": 1, "time.ctime": 1, "time.asctime": 1, "time.strftime": 2,
    "utils.formatdate": 1, **GENERATORS,
}  # fmt: skip
# Functions, methods and classes of data libraries that are random unless an argument gives a seed.
UNSEEDED = frozenset(
    """
    sample shuffle permutation permuted resample train_test_split rvs bootstrap permutation_test
    monte_carlo_test differential_evolution dual_annealing basinhopping kmeans kmeans2 Sobol Halton
    LatinHypercube permutation_importance make_blobs make_circles make_classification
    make_friedman1 make_moons make_regression make_s_curve make_swiss_roll
    ShuffleSplit StratifiedShuffleSplit GroupShuffleSplit RandomizedSearchCV
    KMeans MiniBatchKMeans BisectingKMeans SpectralClustering GaussianMixture BayesianGaussianMixture
    DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor RandomForestClassifier
    RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor RandomTreesEmbedding BaggingClassifier
    BaggingRegressor AdaBoostClassifier AdaBoostRegressor GradientBoostingClassifier GradientBoostingRegressor
    HistGradientBoostingClassifier HistGradientBoostingRegressor IsolationForest MLPClassifier MLPRegressor
    BernoulliRBM SGDClassifier SGDRegressor SGDOneClassSVM Perceptron PassiveAggressiveClassifier
    PassiveAggressiveRegressor LinearSVC LinearSVR RANSACRegressor TheilSenRegressor TSNE MDS UMAP
    SpectralEmbedding TruncatedSVD FastICA NMF MiniBatchNMF LatentDirichletAllocation DictionaryLearning
    MiniBatchDictionaryLearning MiniBatchSparsePCA SparsePCA FactorAnalysis GaussianRandomProjection
    SparseRandomProjection RBFSampler Nystroem QuantileTransformer IterativeImputer EllipticEnvelope MinCovDet
    spring_layout louvain_communities gnp_random_graph gnm_random_graph erdos_renyi_graph
    barabasi_albert_graph watts_strogatz_graph newman_watts_strogatz_graph powerlaw_cluster_graph
    """.split()  # noqa: SIM905
)
SPLITTERS = frozenset({"KFold", "StratifiedKFold", "StratifiedGroupKFold"})  # random if shuffle=True
SEEDS = frozenset({"seed", "random_state", "random_seed", "rng", "generator"})
# Packages that take SQL, and SQL that reads the clock or randomness, in several dialects.
SQL_PACKAGES = frozenset(
    """
    sqlite3 aiosqlite duckdb sqlalchemy sqlmodel peewee polars pandasql ibis psycopg psycopg2 pymysql MySQLdb
    """.split()  # noqa: SIM905
)
SQL = re.compile(
    r"""\b(?:random|rand|randomblob|gen_random_uuid|newid|uuid|uuidv[47]|now|today|getdate|sysdate|curdate|curtime
        |get_current_\w+|transaction_timestamp|statement_timestamp|clock_timestamp)\s*\(
    |\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*(?:\)|'subsec)
    |\b(?:current_timestamp|current_date|current_time|localtime|localtimestamp)\b
    |\busing\s+sample\b|\btablesample\b
    |'(?:now|today|yesterday|tomorrow)'|^\s*now\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
# Modules that only compute. If a module is missing here, some answers are not cached. If a module is here by
# mistake, a cached answer may be wrong.
COMPUTING = frozenset(
    {
        "__future__", "abc", "annotated_types", "base64", "binascii", "bisect", "calendar", "cmath",
        "collections", "colorsys", "copy", "dataclasses", "datetime", "decimal", "difflib", "enum",
        "fractions", "functools", "hashlib", "heapq", "hmac", "html", "ipaddress", "itertools", "json",
        "keyword", "math", "numbers", "operator", "pydantic", "re", "statistics", "string", "struct",
        "textwrap", "types", "typing", "typing_extensions", "unicodedata", "zlib",
    }
)  # fmt: skip
# Names that can make a set, although they don't contain "set".
MAKING_SETS = frozenset(
    {"union", "intersection", "difference", "symmetric_difference", "getattr", "operator"}
)
