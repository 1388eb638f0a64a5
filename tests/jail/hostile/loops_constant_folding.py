# expect: timeout|error|died
X = (((2 ** 100) ** 100) ** 100) ** 100
Y = 9 ** 9 ** 9
Z = 'a' * 10 ** 9


def act(obs):
    return 0
