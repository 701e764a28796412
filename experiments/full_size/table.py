def table(output, order):
    return []
