"""Rosenbrock methods as tables.

For an autonomous system y' = f(y) with Jacobian J at the start of the step, and W = I/(gamma h) - J,

    W u_i = f(y + sum_j a_ij u_j) + sum_j (c_ij / h) u_j,      j < i
    y_new = y + sum_i b_i u_i,      error estimate = sum_i e_i u_i

(Hairer and Wanner, Solving Ordinary Differential Equations II, 1996, section IV.7, equation 7.25). Between
the ends the solution is, with K_r = sum_i d_ri u_i and x in [0, 1] the fraction of the step,

    y(x) = (1 - x) y + x (y_new + (1 - x) (K_1 + x (K_2 + x (K_3 + ...))))

The tests verify the order of every method and of its dense output on nonlinear problems.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from her2pkpd.errors import InputError, Problem


@dataclass(frozen=True)
class Method:
    """A Rosenbrock method in the form above.

    Attributes:
        name: its name in the literature.
        gamma: the diagonal coefficient.
        a: stage rows, row i of length i.
        c: coupling rows, row i of length i.
        order: order of the solution.
        error_order: order of the embedded solution; the error of a step grows as h to the power of this plus one.
        dense: rows d_r of the dense output, each of length `stages`; empty when there is none.
        dense_order: order of the dense output.
        source: the paper.

    All methods here are stiffly accurate: y_new is the last stage's argument plus u_s, and the error is u_s.
    """

    name: str
    gamma: float
    a: tuple[tuple[float, ...], ...]
    c: tuple[tuple[float, ...], ...]
    order: int
    error_order: int
    dense: tuple[tuple[float, ...], ...] = field(default=())
    dense_order: int = 0
    source: str = ""

    @property
    def stages(self) -> int:
        """Number of stages, each one solve with the same factors."""
        return len(self.a)

    @cached_property
    def a_matrix(self) -> np.ndarray:
        """The rows of `a` as a strictly lower triangular (stages, stages) matrix."""
        return _square(self.a)

    @cached_property
    def c_matrix(self) -> np.ndarray:
        """The rows of `c` as a strictly lower triangular (stages, stages) matrix."""
        return _square(self.c)

    @cached_property
    def b(self) -> np.ndarray:
        """Weights of the new solution, shape (stages,)."""
        weights = self.a_matrix[-1].copy()
        weights[-1] = 1.0
        return weights


def _square(rows: tuple[tuple[float, ...], ...]) -> np.ndarray:
    matrix = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        matrix[i, : len(row)] = row
    return matrix


def _stiffly_accurate(rows: list[tuple[float, ...]], last: int) -> tuple[tuple[float, ...], ...]:
    """Append the `last` rows in which each new stage adds one more u with weight one."""
    for _ in range(last):
        rows.append((*rows[-1], 1.0))
    return tuple(rows)


RODAS3 = Method(
    "Rodas3",
    0.5,
    ((), (0.0,), (2.0, 0.0), (2.0, 0.0, 1.0)),
    ((), (4.0,), (1.0, -1.0), (1.0, -1.0, -8.0 / 3.0)),
    3,
    2,
    source="Sandu et al., Atmos. Environ. 31 (1997) 3459",
)

RODAS4 = Method(
    "Rodas4",
    0.25,
    _stiffly_accurate(
        [
            (),
            (1.544,),
            (0.9466785280815826, 0.2557011698983284),
            (3.314825187068521, 2.896124015972201, 0.9986419139977817),
            (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
        ],
        1,
    ),
    (
        (),
        (-5.6688,),
        (-2.430093356833875, -0.2063599157091915),
        (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
        (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
        (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
    ),
    4,
    3,
    (
        (10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662, 0.0),
        (-0.6762803392801253, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872, 0.0),
    ),
    3,
    "Hairer and Wanner, Solving Ordinary Differential Equations II (1996), RODAS",
)

RODAS4P = Method(
    "Rodas4P",
    0.25,
    _stiffly_accurate(
        [
            (),
            (3.0,),
            (1.831036793486759, 0.4955183967433795),
            (2.304376582692669, -0.05249275245743001, -1.176798761832782),
            (-7.170454962423024, -4.741636671481785, -16.31002631330971, -1.062004044111401),
        ],
        1,
    ),
    (
        (),
        (-12.0,),
        (-8.791795173947035, -2.207865586973518),
        (10.81793056857153, 6.780270611428266, 19.53485944642410),
        (34.19095006749676, 15.49671153725963, 54.74760875964130, 14.16005392148534),
        (34.62605830930532, 15.30084976114473, 56.99955578662667, 18.40807009793095, -5.714285714285717),
    ),
    4,
    3,
    (
        (25.09876703708589, 11.62013104361867, 28.49148307714626, -5.664021568594133, 0.0, 0.0),
        (1.638054557396973, -0.7373619806678748, 8.477918219238990, 15.99253148779520, -1.882352941176471, 0.0),
    ),
    3,
    "Steinebach, TH Darmstadt Preprint 1772 (1995)",
)

RODAS4P2 = Method(
    "Rodas4P2",
    0.25,
    _stiffly_accurate(
        [
            (),
            (3.0,),
            (0.906377755268814, -0.189707390391685),
            (3.758617027739064, 1.161741776019525, -0.849258085312803),
            (7.089566927282776, 4.573591406461604, -8.423496976860259, -0.959280113459775),
        ],
        1,
    ),
    (
        (),
        (-12.0,),
        (-6.354581592719008, 0.338972550544623),
        (-8.575016317114033, -7.606483992117508, 12.224997650124820),
        (-5.888975457523102, -8.157396617841821, 24.805546872612922, 12.790401512796979),
        (-4.408651676063871, -6.692003137674639, 24.625568527593117, 16.627521966636085, -5.714285714285718),
    ),
    4,
    3,
    (
        (-5.323528268423303, -10.042123754867493, 17.175254928256965, -5.079931171878093, -0.016185991706112, 0.0),
        (6.984505741529879, 6.914061169603662, -0.849178943070653, 18.104410789349338, -3.516963011559032, 0.0),
    ),
    3,
    "Steinebach, Progress in Industrial Mathematics at ECMI 2018 (2019) 165",
)

RODAS5 = Method(
    "Rodas5",
    0.19,
    _stiffly_accurate(
        [
            (),
            (2.0,),
            (3.040894194418781, 1.041747909077569),
            (2.576417536461461, 1.622083060776640, -0.9089668560264532),
            (2.760842080225597, 1.446624659844071, -0.3036980084553738, 0.2877498600325443),
            (-14.09640773051259, 6.925207756232704, -41.47510893210728, 2.343771018586405, 24.13215229196062),
        ],
        2,
    ),
    (
        (),
        (-10.31323885133993,),
        (-21.04823117650003, -7.234992135176716),
        (32.22751541853323, -4.943732386540191, 19.44922031041879),
        (-20.69865579590063, -8.816374604402768, 1.260436877740897, -0.7495647613787146),
        (-46.22004352711257, -17.49534862857472, -289.6389582892057, 93.60855400400906, 318.3822534212147),
        (
            34.20013733472935,
            -14.15535402717690,
            57.82335640988400,
            25.83362985412365,
            1.408950972071624,
            -6.551835421242162,
        ),
        (
            42.57076742291101,
            -13.80770672017997,
            93.98938432427124,
            18.77919633714503,
            -31.58359187223370,
            -6.685968952921985,
            -5.810979938412932,
        ),
    ),
    5,
    4,
    (
        (
            27.354592673333357,
            -6.925207756232857,
            26.40037733258859,
            0.5635230501052979,
            -4.699151156849391,
            -1.6008677469422725,
            -1.5306074446748028,
            -1.3929872940716344,
        ),
        (
            44.19024239501722,
            0.0,
            202.93261852171622,
            -35.5669339789154,
            -181.91095152160645,
            3.4116351403665033,
            2.5793540257308067,
            2.2435122582734066,
        ),
        (
            -44.0988150021747,
            0.0,
            -181.26175034586677,
            56.99302194811676,
            183.21182741427398,
            -7.480257918273637,
            -5.792426076169686,
            -5.32503859794143,
        ),
    ),
    4,
    "Di Marzo, RODAS5(4): méthodes de Rosenbrock d'ordre 5(4) adaptées aux problèmes différentiels-algébriques (1993)",
)

RODAS5P = Method(
    "Rodas5P",
    0.21193756319429014,
    _stiffly_accurate(
        [
            (),
            (3.0,),
            (2.849394379747939, 0.45842242204463923),
            (-6.954028509809101, 2.489845061869568, -10.358996098473584),
            (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
            (
                -7.502846399306121,
                2.561846144803919,
                -11.627539656261098,
                -0.18268767659942256,
                0.030198172008377946,
            ),
        ],
        2,
    ),
    (
        (),
        (-14.155112264123755,),
        (-17.97296035885952, -2.859693295451294),
        (147.12150275711716, -1.41221402718213, 71.68940251302358),
        (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
        (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
        (
            30.91273214028599,
            -3.1208243349937974,
            77.79954646070892,
            34.28646028294783,
            -19.097331116725623,
            -28.087943162872662,
        ),
        (
            37.80277123390563,
            -3.2571969029072276,
            112.26918849496327,
            66.9347231244047,
            -40.06618937091002,
            -54.66780262877968,
            -9.48861652309627,
        ),
    ),
    5,
    4,
    (
        (
            25.948786856663858,
            -2.5579724845846235,
            10.433815404888879,
            -2.3679251022685204,
            0.524948541321073,
            1.1241088310450404,
            0.4272876194431874,
            -0.17202221070155493,
        ),
        (
            -9.91568850695171,
            -0.9689944594115154,
            3.0438037242978453,
            -24.495224566215796,
            20.176138334709044,
            15.98066361424651,
            -6.789040303419874,
            -6.710236069923372,
        ),
        (
            11.419903575922262,
            2.8879645146136994,
            72.92137995996029,
            80.12511834622643,
            -52.072871366152654,
            -59.78993625266729,
            -0.15582684282751913,
            4.883087185713722,
        ),
    ),
    4,
    "Steinebach, BIT Numer. Math. 63 (2023) 27",
)

METHODS: dict[str, Method] = {m.name.lower(): m for m in (RODAS3, RODAS4, RODAS4P, RODAS4P2, RODAS5, RODAS5P)}
"""Methods by lower-case name."""


def default_method(rtol: float) -> str:
    """The method used when none is asked for.

    Rodas5 needs a fifth to a third fewer steps at ordinary tolerances; at tight ones the two draw level, and
    Rodas5P keeps its order on very stiff problems, where Rodas5 loses accuracy: see
    benchmarks/results/engine_methods.json.
    """
    return "rodas5" if rtol >= 1e-7 else "rodas5p"


def method(name: str) -> Method:
    """The method called `name`.

    Raises:
        InputError: if there is none.
    """
    try:
        return METHODS[name.lower()]
    except KeyError:
        raise InputError(Problem("unknown method", f"Use one of {', '.join(METHODS)}.", value=name)) from None
