__thread int number = 11;

int library_work(int n)
{
    number += n;
    return number;
}
